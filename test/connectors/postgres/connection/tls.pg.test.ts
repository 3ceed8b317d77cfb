import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { postgresSource } from '../../../../connectors/postgres/config.ts';
import { connect } from '../../../../connectors/postgres/connection/connect.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { readPeerCertificate } from '../../../../connectors/postgres/connection/peer-certificate.ts';
import { type Certificate, CertificateAuthority } from '../../../support/certificates.ts';
import { type LocalPostgres, startLocalPostgres } from '../../../support/local-postgres.ts';
import { waitFor } from '../../../support/wait.ts';

const signal = new AbortController().signal;
const authority = new CertificateAuthority();
const good = authority.issue({ commonName: 'db', hosts: ['localhost', '127.0.0.1'] });

let server: LocalPostgres;
let admin: Client;
let files: string;
let ca: string;

beforeAll(async () => {
  files = mkdtempSync(join(tmpdir(), 'tailrace-tls-'));
  ca = clientFile('ca.pem', authority.certificate);
  server = await startLocalPostgres();
  admin = new Client({ connectionString: server.url });
  await admin.connect();
  serverFile('ca.pem', authority.certificate);
  serverFile('server.crt', good.certificate);
  serverFile('server.key', good.key);
  for (const setting of [
    "ssl_cert_file = 'server.crt'",
    "ssl_key_file = 'server.key'",
    "ssl_ca_file = 'ca.pem'",
    'ssl = on',
  ]) {
    await admin.query(`ALTER SYSTEM SET ${setting}`);
  }
  await show(good);
});

afterAll(async () => {
  await admin?.end();
  await server?.[Symbol.asyncDispose]();
  rmSync(files, { recursive: true, force: true });
});

function clientFile(name: string, text: string): string {
  const path = join(files, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** The server reads its key only when it owns it. */
function serverFile(name: string, text: string): void {
  const path = join(server.dataDir, name);
  const { uid, gid } = statSync(server.dataDir);
  writeFileSync(path, text, { mode: 0o600 });
  chownSync(path, uid, gid);
}

/** Has the server show this certificate from now on. */
async function show({ certificate, key }: Certificate): Promise<void> {
  serverFile('server.crt', certificate);
  serverFile('server.key', key);
  await admin.query('SELECT pg_reload_conf()');
  const wanted = certificate.replace(/-----[^-]+-----|\s/g, '');
  await waitFor(
    async () => {
      const shown = await readPeerCertificate({ host: '127.0.0.1', port: server.port }, 'postgres');
      return shown?.raw.toString('base64') === wanted;
    },
    { describe: 'the server to show its new certificate' },
  );
}

interface Ssl {
  readonly mode?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** How the session is protected, as the server sees it. */
async function encryption(
  ssl: Ssl,
  { host = 'localhost', port = server.port, parameters = '', env = {} } = {},
): Promise<unknown> {
  const { username, password } = new URL(server.url);
  const url = `postgresql://${username}:${password}@${host}:${port}/postgres${parameters}`;
  const settings = resolveConnection(postgresSource.parse({ url, ssl }), env);
  const client = await connect(settings, { purpose: 'test', signal });
  try {
    const { rows } = await client.query(
      'SELECT ssl, version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    return rows[0];
  } finally {
    await client.end();
  }
}

function tlsError(...parts: readonly string[]) {
  return expect.objectContaining({
    code: 'E_TLS',
    retriable: false,
    message: expect.stringMatching(
      new RegExp(parts.map((part) => part.replace(/[.()]/g, '\\$&')).join('.*')),
    ),
  });
}

test('verify-full: an authority of our own, by file and as text, by name and address', async () => {
  const encrypted = { ssl: true, version: 'TLSv1.3' };
  expect(await encryption({ mode: 'verify-full', ca })).toMatchObject(encrypted);
  expect(await encryption({ mode: 'verify-full', ca: authority.certificate })).toMatchObject(encrypted);
  expect(await encryption({ ca }, { host: '127.0.0.1' })).toMatchObject(encrypted);
  const limited = { parameters: '?ssl_max_protocol_version=TLSv1.2' };
  expect(await encryption({ ca }, limited)).toMatchObject({ version: 'TLSv1.2' });
});

test('an authority that nobody named is not trusted', async () => {
  await expect(encryption({ mode: 'verify-full' })).rejects.toEqual(
    tlsError(
      'not trusted',
      'Expected: a trusted certificate for localhost.',
      'CN=db (DNS:localhost',
      'issued by CN=Tailrace test authority',
    ),
  );
  const stranger = new CertificateAuthority('Stranger');
  await expect(encryption({ mode: 'verify-ca', ca: stranger.certificate })).rejects.toEqual(
    tlsError('trusted'),
  );
});

test('libpq finds a root certificate in the home directory', async () => {
  const HOME = mkdtempSync(join(files, 'home-'));
  const dir = join(HOME, '.postgresql');
  mkdirSync(dir);
  writeFileSync(join(dir, 'root.crt'), authority.certificate);
  expect(await encryption({ mode: 'verify-full' }, { env: { HOME } })).toMatchObject({ ssl: true });
  // There it turns require into verify-ca.
  writeFileSync(join(dir, 'root.crt'), new CertificateAuthority('Stranger').certificate);
  await expect(encryption({ mode: 'require' }, { env: { HOME } })).rejects.toEqual(tlsError('trusted'));
});

test('a certificate for another name', async () => {
  await show(authority.issue({ commonName: 'elsewhere', hosts: ['db.internal'] }));
  try {
    await expect(encryption({ mode: 'verify-full', ca })).rejects.toEqual(
      tlsError('for another name', 'for localhost.', 'CN=elsewhere (DNS:db.internal)'),
    );
    await expect(encryption({ mode: 'verify-full', ca }, { host: '127.0.0.1' })).rejects.toEqual(
      tlsError('for another name', 'for 127.0.0.1.'),
    );
    expect(await encryption({ mode: 'verify-ca', ca })).toMatchObject({ ssl: true });
    // The name asked for counts, not the address it is found at.
    const byName = { host: 'db.internal', parameters: '?hostaddr=127.0.0.1' };
    expect(await encryption({ mode: 'verify-full', ca }, byName)).toMatchObject({ ssl: true });
  } finally {
    await show(good);
  }
});

test('an expired certificate', async () => {
  await show(authority.issue({ commonName: 'db', hosts: ['localhost'], notAfter: new Date('2020-01-01') }));
  try {
    for (const mode of ['verify-full', 'verify-ca']) {
      await expect(encryption({ mode, ca })).rejects.toEqual(tlsError('has expired', 'valid until', '2020'));
    }
    expect(await encryption({ mode: 'require' })).toMatchObject({ ssl: true });
  } finally {
    await show(good);
  }
});

test('a certificate that signed itself', async () => {
  await show(authority.issue({ commonName: 'Self made', hosts: ['localhost'], selfSigned: true }));
  try {
    await expect(encryption({ mode: 'verify-full' })).rejects.toEqual(
      tlsError('signed by itself', 'CN=Self made', 'issued by CN=Self made'),
    );
    await expect(encryption({ mode: 'verify-ca', ca })).rejects.toEqual(tlsError('signed by itself'));
    expect(await encryption({ mode: 'require' })).toMatchObject({ ssl: true });
  } finally {
    await show(good);
  }
});

test('a client certificate, and none where one is wanted', async () => {
  const client = authority.issue({ commonName: 'postgres' });
  const cert = clientFile('client.crt', client.certificate);
  const key = clientFile('client.key', client.key);
  expect(await encryption({ ca, cert, key })).toMatchObject({ client_dn: '/CN=postgres' });
  await expect(encryption({ ca, cert, key: join(files, 'missing.key') })).rejects.toEqual(
    tlsError('source.ssl.key cannot be read', 'missing.key'),
  );
  const hba = join(server.dataDir, 'pg_hba.conf');
  const before = readFileSync(hba, 'utf8');
  const rules = 'hostssl all all 127.0.0.1/32 cert\nhostssl all all ::1/128 cert\n';
  serverFile('pg_hba.conf', rules);
  try {
    await admin.query('SELECT pg_reload_conf()');
    await waitFor(
      async () => (await encryption({ ca }).catch((error: { code?: string }) => error.code)) === 'E_AUTH',
    );
    expect(await encryption({ ca, cert, key })).toMatchObject({ client_dn: '/CN=postgres' });
  } finally {
    serverFile('pg_hba.conf', before);
    await admin.query('SELECT pg_reload_conf()');
    await waitFor(async () => encryption({ ca }));
  }
});

/** Ends TLS with one certificate and begins it anew towards the server. */
async function startTlsRelay({ certificate, key }: Certificate): Promise<{ readonly port: number }> {
  const relay = createServer((client) => {
    client.once('data', () => {
      const inside = new TLSSocket(client, { isServer: true, cert: certificate, key });
      client.write('S');
      const upstream = connectTcp({ host: '127.0.0.1', port: server.port });
      upstream.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
      upstream.once('data', () => {
        const outside = connectTls({ socket: upstream, ca: authority.certificate, servername: 'localhost' });
        inside.pipe(outside).pipe(inside);
        for (const end of [client, upstream, inside, outside]) end.on('error', () => {});
      });
    });
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  onTestFinished(() => void relay.close());
  return relay.address() as AddressInfo;
}

test('SCRAM is bound to the channel: who ends TLS in between is found out', async () => {
  const { port } = await startTlsRelay(authority.issue({ commonName: 'relay', hosts: ['localhost'] }));
  await expect(encryption({ ca }, { port })).rejects.toMatchObject({ code: 'E_AUTH', retriable: false });
  expect(await encryption({ ca }, { port, parameters: '?channel_binding=disable' })).toMatchObject({
    ssl: true,
  });
});

test('direct TLS negotiation, where the server can', async () => {
  const { rows } = await admin.query<{ number: number }>(
    "SELECT current_setting('server_version_num')::int AS number",
  );
  if ((rows[0]?.number ?? 0) < 170_000) return;
  expect(await encryption({ ca }, { parameters: '?sslnegotiation=direct' })).toMatchObject({ ssl: true });
});

test('a server without TLS is never spoken to in plain when TLS is asked for', async () => {
  await admin.query('ALTER SYSTEM SET ssl = off');
  await admin.query('SELECT pg_reload_conf()');
  await waitFor(async () => {
    const plain = await encryption({ mode: 'disable' });
    const { rows } = await admin.query<{ ssl: string }>('SHOW ssl');
    return rows[0]?.ssl === 'off' && plain;
  });
  for (const mode of ['require', 'verify-ca', 'verify-full']) {
    await expect(encryption({ mode })).rejects.toEqual(tlsError('does not offer TLS'));
  }
});
