import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { expect, test } from 'vitest';
import { type Certificate, CertificateAuthority } from './certificates.ts';

async function handshake(server: Certificate, client: { ca: string; servername: string }): Promise<string> {
  const listener = createServer({ cert: server.certificate, key: server.key }, (socket) => socket.end());
  listener.on('tlsClientError', () => {});
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port, ...client });
  try {
    await once(socket, 'secureConnect');
    return 'trusted';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    socket.destroy();
    listener.close();
  }
}

test('a client that trusts the authority accepts its certificates, for their hosts and times only', async () => {
  const authority = new CertificateAuthority();
  const stranger = new CertificateAuthority();
  const issued = authority.issue({ commonName: 'db', hosts: ['localhost', '127.0.0.1'] });
  const expired = authority.issue({
    commonName: 'db',
    hosts: ['localhost'],
    notAfter: new Date('2020-01-01'),
  });
  const ca = authority.certificate;
  expect(await handshake(issued, { ca, servername: 'localhost' })).toBe('trusted');
  expect(await handshake(issued, { ca, servername: 'other.example' })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  expect(await handshake(expired, { ca, servername: 'localhost' })).toBe('CERT_HAS_EXPIRED');
  expect(await handshake(issued, { ca: stranger.certificate, servername: 'localhost' })).not.toBe('trusted');
});
