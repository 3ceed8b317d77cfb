import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Logger } from '../../../src/observe/logger.ts';
import type { KafkaConfig, TlsOptions } from '../config.ts';
import type { BrokerAddress, ConnectionSettings } from './broker-connection.ts';
import { libraryLogger } from './library-logger.ts';

/** Reads the certificates. Throws E_SINK_CONFIG when one cannot be read. */
export async function connectionSettings(
  config: KafkaConfig,
  options: { readonly clientId: string; readonly baseDir: string; readonly logger: Logger },
): Promise<ConnectionSettings> {
  return {
    clientId: config.clientId ?? options.clientId,
    tls: config.tls === undefined ? undefined : await tlsSettings(config.tls, options.baseDir),
    sasl: config.sasl,
    connectTimeoutMs: config.connectTimeoutMs,
    requestTimeoutMs: config.requestTimeoutMs,
    logger: libraryLogger(options.logger),
  };
}

/** `host:port`, or `[address]:port` for IPv6. */
export function brokerAddress(text: string): BrokerAddress {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(colon + 1)) };
}

async function tlsSettings(tls: TlsOptions, baseDir: string): Promise<TlsConnectionOptions> {
  const [ca, cert, key] = await Promise.all([
    pem('ca', tls.ca, baseDir),
    pem('cert', tls.cert, baseDir),
    pem('key', tls.key, baseDir),
  ]);
  const { passphrase, serverName } = tls;
  return {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

async function pem(option: string, given: string | undefined, baseDir: string): Promise<string | undefined> {
  if (given === undefined || given.includes('-----BEGIN ')) return given;
  const path = resolve(baseDir, given);
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `The file of tls.${option} cannot be read: ${path}.`,
      fix: 'Give the path of a PEM file, relative to the configuration file, or the PEM text itself.',
      cause,
    });
  }
}
