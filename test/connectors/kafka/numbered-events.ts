import { EventScript } from '../batch-builder.ts';
import { orders } from './rig.ts';

const KEYS = 20;

export interface NumberedOptions {
  readonly transactions: number;
  readonly eventsEach: number;
  readonly noteBytes?: number | undefined;
}

/** Events numbered 1, 2, 3, ... over a few keys; made the same way in every process. */
export function numberedEvents({ transactions, eventsEach, noteBytes = 20 }: NumberedOptions): EventScript {
  const script = new EventScript();
  let number = 0;
  for (let t = 0; t < transactions; t++) {
    script.transaction((tx) => {
      for (let e = 0; e < eventsEach; e++) {
        number++;
        tx.insert(orders, { id: `${(number * 7) % KEYS}`, note: `${number}${' '.repeat(noteBytes)}` });
      }
    });
  }
  return script;
}

export interface Delivered {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/** The numbers in records of `format: plain`, in the order given. */
export function numbersOf(records: readonly Delivered[]): number[] {
  return records.map(({ value }) => Number.parseInt((JSON.parse(`${value}`) as { note: string }).note, 10));
}

/** Keys whose events are not in order; a repetition that goes back in time counts as well. */
export function keysOutOfOrder(records: readonly Delivered[]): string[] {
  const last = new Map<string, number>();
  const wrong = new Set<string>();
  for (const [i, number] of numbersOf(records).entries()) {
    const key = `${records[i]?.key}`;
    if (number <= (last.get(key) ?? 0)) wrong.add(key);
    last.set(key, number);
  }
  return [...wrong];
}
