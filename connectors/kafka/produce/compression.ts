import { promisify } from 'node:util';
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { KafkaFailure } from '../cluster/failure.ts';
import type { Compression } from '../config.ts';
import type { CompressionCode } from '../wire/record-batch-writer.ts';

/** Both run in libuv's threads, not in the event loop. */
const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);
const zstdAsync = promisify(zstdCompress);
const unzstdAsync = promisify(zstdDecompress);

export interface CompressionCodec {
  readonly code: CompressionCode;
  compress(bytes: Uint8Array): Promise<Uint8Array>;
}

const CODECS: Readonly<Record<Compression, CompressionCodec | undefined>> = {
  none: undefined,
  gzip: { code: 1, compress: async (bytes) => gzipAsync(bytes, { level: constants.Z_DEFAULT_COMPRESSION }) },
  zstd: { code: 4, compress: async (bytes) => zstdAsync(bytes) },
};

export function codecOf(compression: Compression): CompressionCodec | undefined {
  return CODECS[compression];
}

/** By the code in a record batch. */
export async function decompress(code: number, bytes: Buffer): Promise<Buffer> {
  switch (code) {
    case 1:
      return gunzipAsync(bytes);
    case 4:
      return unzstdAsync(bytes);
    default:
      throw new KafkaFailure({
        kind: 'refused',
        reason: code === 2 ? 'snappy' : code === 3 ? 'lz4' : `codec ${code}`,
      });
  }
}
