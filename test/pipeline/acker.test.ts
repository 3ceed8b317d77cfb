import { describe, expect, test } from 'vitest';
import { Acker } from '../../src/pipeline/acker.ts';

class Watched {
  synced = 0n;
  delivered: (bigint | undefined)[] = [];
  walEnd = 0n;
  readonly confirmed: bigint[] = [];
  readonly acker = new Acker(
    {
      synced: () => this.synced,
      delivered: () => this.delivered,
      walEnd: () => this.walEnd,
      confirm: (endLsn) => this.confirmed.push(endLsn),
    },
    { mode: 'auto', bytes: 1000n },
  );
}

describe('the acker', () => {
  test('confirms nothing before it is known where the slot stands', () => {
    const watched = new Watched();
    Object.assign(watched, { synced: 500n, delivered: [500n], walEnd: 500n });
    watched.acker.moved();
    expect(watched.confirmed).toEqual([]);
    watched.acker.connected(100n, undefined);
    expect(watched.confirmed).toEqual([500n]);
  });

  test('confirms each position once, and only forwards', () => {
    const watched = new Watched();
    watched.acker.connected(100n, undefined);
    Object.assign(watched, { synced: 300n, delivered: [200n], walEnd: 400n });
    watched.acker.moved();
    watched.acker.moved();
    watched.delivered = [150n];
    watched.acker.moved();
    watched.delivered = [300n];
    watched.acker.moved();
    expect(watched.confirmed).toEqual([200n, 300n]);
    expect(watched.acker.confirmed).toBe(300n);
  });

  test('takes a sink that has not told yet to stand where the slot does', () => {
    const watched = new Watched();
    watched.acker.connected(100n, undefined);
    Object.assign(watched, { synced: 900n, delivered: [800n, undefined], walEnd: 1000n });
    watched.acker.moved();
    expect(watched.confirmed).toEqual([]);
    expect(watched.acker.serverKeepsAll).toBe(true);
    // Beyond the budget it no longer holds the server, known or not.
    watched.walEnd = 1101n;
    watched.acker.moved();
    expect(watched.confirmed).toEqual([900n]);
    expect(watched.acker.serverKeepsAll).toBe(false);
  });

  test('does not go back when a crashed server shows an older slot', () => {
    const watched = new Watched();
    Object.assign(watched, { synced: 500n, delivered: [500n], walEnd: 500n });
    watched.acker.connected(100n, undefined);
    watched.acker.connected(300n, undefined);
    expect(watched.confirmed).toEqual([500n]);
  });

  test('halves the budget where the server would give the slot up first', () => {
    const watched = new Watched();
    Object.assign(watched, { synced: 900n, delivered: [500n], walEnd: 1000n });
    watched.acker.connected(100n, 800);
    expect(watched.confirmed).toEqual([900n]);
  });
});
