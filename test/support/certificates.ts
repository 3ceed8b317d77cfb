import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

export interface Certificate {
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8 PEM. */
  readonly key: string;
}

export interface IssueOptions {
  readonly commonName: string;
  /** Host names and IPv4 addresses of the certificate's subjectAltName. */
  readonly hosts?: readonly string[] | undefined;
  /** Default: ten years from yesterday. */
  readonly notAfter?: Date | undefined;
  /** Signed by its own key instead of the authority's. */
  readonly selfSigned?: boolean | undefined;
}

/** A certificate authority of a test's own, for servers with TLS: needs no openssl and no keytool. */
export class CertificateAuthority {
  readonly #name: Buffer;
  readonly #key: KeyObject;
  /** PEM, for the client's CA file. */
  readonly certificate: string;

  constructor(commonName = 'Tailrace test authority') {
    const { privateKey, publicKey } = keyPair();
    this.#name = name(commonName);
    this.#key = privateKey;
    const extensions = [
      extension(oid.basicConstraints, sequence(der(tag.boolean, Buffer.from([0xff]))), true),
      extension(oid.keyUsage, der(tag.bitString, Buffer.from([1, 0x06])), true),
    ];
    this.certificate = this.#certify({ subject: this.#name, publicKey, extensions, notAfter: undefined });
  }

  issue({ commonName, hosts = [], notAfter, selfSigned = false }: IssueOptions): Certificate {
    const { privateKey, publicKey } = keyPair();
    const alternatives = hosts.map((host) =>
      isIPv4(host)
        ? der(0x87, Buffer.from(host.split('.').map(Number)))
        : der(0x82, Buffer.from(host, 'latin1')),
    );
    const extensions = [
      extension(oid.extendedKeyUsage, sequence(objectId(oid.serverAuth), objectId(oid.clientAuth))),
      ...(alternatives.length === 0 ? [] : [extension(oid.subjectAltName, sequence(...alternatives))]),
    ];
    const subject = name(commonName);
    const signer = selfSigned ? { name: subject, key: privateKey } : undefined;
    return {
      certificate: this.#certify({ subject, publicKey, extensions, notAfter, signer }),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  }

  #certify({ subject, publicKey, extensions, notAfter, signer }: Subject): string {
    const issuer = signer ?? { name: this.#name, key: this.#key };
    const yesterday = new Date(Date.now() - 86_400_000);
    const until = notAfter ?? new Date(yesterday.getTime() + 3650 * 86_400_000);
    const from = until < yesterday ? new Date(until.getTime() - 86_400_000) : yesterday;
    // TBSCertificate, RFC 5280 section 4.1.
    const toBeSigned = sequence(
      der(0xa0, integer(Buffer.from([2]))),
      integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      sequence(objectId(oid.ecdsaWithSha256)),
      issuer.name,
      sequence(time(from), time(until)),
      subject,
      publicKey.export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...extensions)),
    );
    const signature = sign('sha256', toBeSigned, issuer.key);
    const certificate = sequence(
      toBeSigned,
      sequence(objectId(oid.ecdsaWithSha256)),
      der(tag.bitString, Buffer.concat([Buffer.from([0]), signature])),
    );
    const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  }
}

interface Subject {
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly notAfter: Date | undefined;
  readonly signer?: { readonly name: Buffer; readonly key: KeyObject } | undefined;
}

const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const oid = {
  commonName: [2, 5, 4, 3],
  keyUsage: [2, 5, 29, 15],
  subjectAltName: [2, 5, 29, 17],
  basicConstraints: [2, 5, 29, 19],
  extendedKeyUsage: [2, 5, 29, 37],
  serverAuth: [1, 3, 6, 1, 5, 5, 7, 3, 1],
  clientAuth: [1, 3, 6, 1, 5, 5, 7, 3, 2],
  ecdsaWithSha256: [1, 2, 840, 10045, 4, 3, 2],
} as const;

function keyPair(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function der(tagByte: number, content: Buffer): Buffer {
  const { length } = content;
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tagByte, ...header]), content]);
}

function sequence(...items: readonly Buffer[]): Buffer {
  return der(tag.sequence, Buffer.concat(items));
}

function integer(bytes: Buffer): Buffer {
  return der(tag.integer, bytes);
}

function objectId([first = 0, second = 0, ...rest]: readonly number[]): Buffer {
  const encoded = rest.flatMap((part) => {
    const septets = [part & 0x7f];
    for (let high = part >> 7; high > 0; high >>= 7) septets.unshift(0x80 | (high & 0x7f));
    return septets;
  });
  return der(tag.objectId, Buffer.from([40 * first + second, ...encoded]));
}

function name(commonName: string): Buffer {
  const value = der(tag.utf8String, Buffer.from(commonName));
  return sequence(der(tag.set, sequence(objectId(oid.commonName), value)));
}

function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  // RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from then on.
  return date.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(digits.slice(2)))
    : der(tag.generalizedTime, Buffer.from(digits));
}

function extension(id: readonly number[], value: Buffer, critical = false): Buffer {
  const flag = critical ? [der(tag.boolean, Buffer.from([0xff]))] : [];
  return sequence(objectId(id), ...flag, der(tag.octetString, value));
}
