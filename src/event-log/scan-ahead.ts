import type { Place } from './batch-collector.ts';
import { commitEventCount, FRAME, frameEndLsn, RELATION_HEADER_BYTES } from './frame-format.ts';
import type { FrameSource } from './frame-source.ts';
import type { LargeTransaction } from './large-transactions.ts';
import type { RelationRegistry } from './relation-registry.ts';

export type TransactionEnd =
  | ({ readonly kind: 'committed' } & LargeTransaction)
  /** `behind`: where to go on. */
  | { readonly kind: 'rolled-back'; readonly behind: Place };

/** Reads on from inside a transaction to its end, to learn what its first piece has to tell. */
export async function findEnd(options: {
  readonly source: FrameSource;
  readonly registry: RelationRegistry;
  readonly begin: number;
  readonly from: Place;
  /** Called now and then; throws when nobody wants to know any more. */
  readonly check: () => void;
}): Promise<TransactionEnd> {
  const { source, registry, begin, check } = options;
  let { offset, block } = options.from;
  for (;;) {
    const { slab, start, end } = await source.load(offset, block);
    check();
    const { view, buffer, base } = slab;
    let at = start;
    while (at < end) {
      const size = view.getUint32(at, true);
      switch (view.getUint8(at + 4)) {
        case FRAME.block:
          block = base + at;
          break;
        case FRAME.relation:
          registry.learn(view.getUint32(at + 5, true), () =>
            buffer.utf8Slice(at + RELATION_HEADER_BYTES, at + size),
          );
          break;
        case FRAME.commit:
          return {
            kind: 'committed',
            begin,
            end: base + at + size,
            eventCount: commitEventCount(view, at),
            endLsn: frameEndLsn(view, at),
          };
        case FRAME.rollback:
          return { kind: 'rolled-back', behind: { offset: base + at + size, block } };
      }
      at += size;
    }
    offset = base + at;
  }
}
