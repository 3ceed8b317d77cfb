import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { type HostAddress, isSocketDirectory } from './connection-settings.ts';

/** SSLRequest. https://www.postgresql.org/docs/current/protocol-message-formats.html */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const TIMEOUT_MS = 5000;

/**
 * The certificate that a server shows, for a message about why it is not trusted. A connection of its own: nothing is sent over it but the
 * handshake. Undefined when it cannot be had.
 */
export async function readPeerCertificate(
  host: HostAddress,
  negotiation: 'postgres' | 'direct',
): Promise<PeerCertificate | undefined> {
  if (isSocketDirectory(host.host)) return undefined;
  const socket = connectTcp({ host: host.address ?? host.host, port: host.port });
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  try {
    await once(socket, 'connect', { signal: deadline });
    if (negotiation === 'postgres') await requestTls(socket, deadline);
    const secure = connectTls({
      socket,
      rejectUnauthorized: false,
      ...(negotiation === 'direct' ? { ALPNProtocols: ['postgresql'] } : {}),
    });
    await once(secure, 'secureConnect', { signal: deadline });
    return secure.getPeerCertificate();
  } catch {
    return undefined;
  } finally {
    socket.on('error', () => {});
    socket.destroy();
  }
}

async function requestTls(socket: Socket, signal: AbortSignal): Promise<void> {
  socket.write(SSL_REQUEST);
  await once(socket, 'readable', { signal });
  socket.read(1);
}

/** `CN=db.internal (DNS:db.internal), issued by CN=Example CA, valid until Jan 1 00:00:00 2027 GMT` */
export function describeCertificate(certificate: PeerCertificate): string {
  const names = certificate.subjectaltname === undefined ? '' : ` (${certificate.subjectaltname})`;
  return `${distinguishedName(certificate.subject)}${names}, issued by ${distinguishedName(certificate.issuer)}, valid until ${certificate.valid_to}`;
}

function distinguishedName(name: PeerCertificate['subject'] | undefined): string {
  const parts = Object.entries(name ?? {}).map(([key, value]) => `${key}=${String(value)}`);
  return parts.length === 0 ? 'nobody' : parts.join(', ');
}
