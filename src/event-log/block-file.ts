import { BLOCK_HEADER_BYTES, checkBlock } from './block.ts';
import { type LogFile, readFully } from './file-system.ts';
import type { Slab } from './slab.ts';

export interface BlocksToRead {
  readonly file: LogFile;
  /** Log offset of the file's first byte. */
  readonly base: number;
  /** Log offset of the first block. */
  readonly from: number;
  /** Log offset behind the last byte to read. */
  readonly to: number;
  /** How much to read at once; a larger block is read whole all the same. */
  readonly readBytes: number;
  readonly take: (base: number, minBytes: number) => Slab;
}

/** Whole, verified blocks from `from` on, at least one; or why there is none. The slab is the caller's to retire. */
export type BlocksRead =
  | { readonly state: 'whole'; readonly slab: Slab }
  | { readonly state: 'damaged' | 'cut' };

export async function readBlocks(options: BlocksToRead): Promise<BlocksRead> {
  const available = options.to - options.from;
  let wanted = Math.min(options.readBytes, available);
  for (;;) {
    const slab = options.take(options.from, wanted);
    const got = await readFully(options.file, slab.buffer, wanted, options.from - options.base);
    while (slab.length < got) {
      const block = checkBlock(slab.buffer, slab.view, slab.length, got, options.from + slab.length);
      if (block.state === 'whole') {
        slab.length += block.bytes;
        continue;
      }
      if (slab.length > 0) break;
      slab.retire();
      if (block.state === 'damaged') return { state: 'damaged' };
      const needed = block.bytes ?? BLOCK_HEADER_BYTES;
      if (got < wanted || needed > available || needed <= wanted) return { state: 'cut' };
      wanted = needed;
      break;
    }
    if (slab.length > 0) return { state: 'whole', slab };
    if (got === 0) {
      slab.retire();
      return { state: 'cut' };
    }
  }
}
