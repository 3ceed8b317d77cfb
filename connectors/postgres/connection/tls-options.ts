import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, checkServerIdentity, getCACertificates } from 'node:tls';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { SslMode } from '../config.ts';
import { type ConnectionSettings, type HostAddress, sslModeFor } from './connection-settings.ts';

/**
 * What Node's TLS needs for one host; false for a plain connection. Files are read each time, so that renewed certificates are used by the
 * next attempt. Throws E_TLS naming a file that cannot be read.
 */
export function tlsOptions(
  settings: Pick<ConnectionSettings, 'tls' | 'certificateDir'>,
  host: HostAddress,
): ConnectionOptions | false {
  const { tls } = settings;
  const asked = sslModeFor(settings, host);
  if (asked === 'disable') return false;
  const ca = authorities(settings);
  // As in libpq, a root certificate in its usual place means it is to be used.
  // https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
  const mode: SslMode = asked === 'require' && ca !== undefined ? 'verify-ca' : asked;
  return {
    rejectUnauthorized: mode !== 'require',
    // The name asked for, not the address it was found at.
    checkServerIdentity:
      mode === 'verify-full'
        ? (_name, certificate) => checkServerIdentity(host.host, certificate)
        : () => undefined,
    ca,
    crl: tls.crl === undefined ? undefined : pem(tls.crl, 'source.ssl crl'),
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    passphrase: tls.keyPassword?.(),
    ...clientCertificate(settings),
  };
}

/** Undefined: the public authorities that Node.js ships, and those of NODE_EXTRA_CA_CERTS. */
function authorities({
  tls,
  certificateDir,
}: Pick<ConnectionSettings, 'tls' | 'certificateDir'>): string | string[] | undefined {
  if (tls.ca === 'system') return getCACertificates('system');
  if (tls.ca !== undefined) return pem(tls.ca, 'source.ssl.ca');
  const usual = certificateDir === undefined ? undefined : join(certificateDir, 'root.crt');
  return usual !== undefined && existsSync(usual) ? pem(usual, 'The certificate file') : undefined;
}

function clientCertificate({
  tls,
  certificateDir,
}: Pick<ConnectionSettings, 'tls' | 'certificateDir'>): Pick<ConnectionOptions, 'cert' | 'key'> {
  if (tls.cert !== undefined && tls.key !== undefined) {
    return { cert: pem(tls.cert, 'source.ssl.cert'), key: pem(tls.key(), 'source.ssl.key') };
  }
  if (certificateDir === undefined) return {};
  const cert = join(certificateDir, 'postgresql.crt');
  const key = join(certificateDir, 'postgresql.key');
  if (!existsSync(cert) || !existsSync(key)) return {};
  return { cert: pem(cert, 'The certificate file'), key: pem(key, 'The key file') };
}

function pem(fileOrText: string, what: string): string {
  if (fileOrText.trimStart().startsWith('-----BEGIN')) return fileOrText;
  try {
    return readFileSync(fileOrText, 'utf8');
  } catch (cause) {
    throw new TailraceError({
      code: 'E_TLS',
      message: `${what} cannot be read: ${fileOrText}`,
      fix: 'give the path of a PEM file that the process may read, or the PEM text itself',
      cause,
    });
  }
}
