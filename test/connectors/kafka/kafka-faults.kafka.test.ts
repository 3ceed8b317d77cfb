import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { SinkContext } from '../../../src/delivery/sink.ts';
import { freePorts } from '../../support/free-port.ts';
import { findJava } from '../../support/java.ts';
import { readTopic, testKafka } from '../../support/kafka.ts';
import { type LocalKafka, startLocalKafka } from '../../support/local-kafka.ts';
import { waitFor } from '../../support/wait.ts';
import type { EventScript } from '../batch-builder.ts';
import { API, type Fate, FrameProxy } from './frame-proxy.ts';
import { keysOutOfOrder, numberedEvents, numbersOf } from './numbered-events.ts';
import { abortMarkers, countingMetrics, KafkaRig, SlowClock } from './rig.ts';

/** A broker of our own: it is killed, and its clients come through a network that fails. */
describe.skipIf(findJava(17) === undefined)('faults', () => {
  let kafka: LocalKafka;
  let proxy: FrameProxy;
  let prefix: string;

  beforeAll(async () => {
    const [port = 0, proxyPort = 0] = await freePorts(2);
    kafka = await startLocalKafka({
      port,
      users: { tailrace: 'secret' },
      extraProperties: {
        // Brokers talk to themselves on the other listener, clients come through the proxy.
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},SASL_PLAINTEXT://127.0.0.1:${proxyPort}`,
        'transaction.abort.timed.out.transaction.cleanup.interval.ms': 200,
      },
    });
    const targetPort = Number(kafka.address('SASL_PLAINTEXT').split(':')[1]);
    proxy = await FrameProxy.start({ targetPort, listenPort: proxyPort });
    clientPort = proxyPort;
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await kafka?.[Symbol.asyncDispose]();
  });

  let clientPort = 0;
  beforeEach(() => {
    prefix = `t${randomBytes(6).toString('hex')}.`;
  });
  afterEach(() => {
    proxy.decide = () => 'pass';
    proxy.onLost = () => {};
    proxy.pass();
  });

  const rig = (
    config: Record<string, unknown>,
    own: string = prefix,
    context: Partial<SinkContext> = {},
  ): KafkaRig =>
    new KafkaRig({
      brokers: [`127.0.0.1:${clientPort}`],
      prefix: own,
      context,
      mapping: { format: 'plain' },
      config: {
        sasl: { mechanism: 'plain', username: 'tailrace', password: 'secret' },
        topics: { partitions: 3 },
        batch: { request_bytes: '4KiB' },
        ...config,
      },
    });

  const deliverAll = async (
    sink: KafkaRig,
    script: EventScript,
    transactions: number,
    between: () => Promise<void> = async () => {},
  ): Promise<void> => {
    for (let at = await sink.open(); at === undefined || at.endLsn < script.end.endLsn; ) {
      at = (await sink.deliver(script, { transactions })).accepted;
      await sink.flush();
      await between();
    }
  };

  /** Each event once, in order per key. */
  const expectAllOnce = async (script: EventScript, own: string = prefix): Promise<void> => {
    const count = script.events.length;
    const records = await waitFor(
      async () => {
        const found = await readTopic(testKafka([kafka.brokers]), `${own}public.orders`);
        return found.length >= count && found;
      },
      { describe: `${count} records`, timeoutMs: 20_000 },
    );
    expect(numbersOf(records).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: count }, (_, i) => i + 1),
    );
    expect(keysOutOfOrder(records)).toEqual([]);
  };

  /** Loses every third of one kind. */
  const loseSome = (api: number, fate: Fate): (() => number) => {
    let met = 0;
    let lost = 0;
    proxy.decide = (given) => {
      if (given !== api || ++met % 3 !== 2) return 'pass';
      lost++;
      return fate;
    };
    return () => lost;
  };

  describe.each(['lose-request', 'lose-answer'] as const)('%s', (fate) => {
    test.each([
      ['produce', true],
      ['produce', false],
      ['addPartitionsToTxn', true],
      ['endTxn', true],
    ] as const)('of %s (exactly_once: %s): nothing twice, nothing lost', async (api, exactlyOnce) => {
      const script = numberedEvents({ transactions: 40, eventsEach: 10, noteBytes: 100 });
      await using sink = rig({ exactly_once: exactlyOnce });
      const lost = loseSome(API[api], fate);
      await deliverAll(sink, script, 4);
      expect(lost()).toBeGreaterThan(2);
      proxy.decide = () => 'pass';
      await expectAllOnce(script);
    });

    test.each([true, false])('of opening requests (exactly_once: %s)', async (exactlyOnce) => {
      const script = numberedEvents({ transactions: 1, eventsEach: 10 });
      const apis = new Set<number>([API.metadata, API.findCoordinator, API.initProducerId]);
      let met = 0;
      // At random: anything regular could hit the same request for ever.
      proxy.decide = (api) => (apis.has(api) && (met++ === 0 || Math.random() < 0.3) ? fate : 'pass');
      await using sink = rig({ exactly_once: exactlyOnce });
      await deliverAll(sink, script, 1);
      expect(met).toBeGreaterThan(3);
      await expectAllOnce(script);
    });

    test('of a commit, and then nobody answers for longer than it is waited for', async () => {
      const script = numberedEvents({ transactions: 3, eventsEach: 10 });
      await using sink = rig({ exactly_once: true });
      await sink.open();
      await sink.deliver(script, { transactions: 1 });
      let lost = false;
      proxy.decide = (api) => {
        if (lost || api !== API.endTxn) return 'pass';
        lost = true;
        return fate;
      };
      proxy.onLost = () => proxy.refuse();
      const writing = sink.deliver(script, { transactions: 1 });
      await waitFor(() => sink.retried.length > 0, { timeoutMs: 20_000 });
      expect(sink.retried[0]).toMatchObject({ code: 'E_SINK_UNAVAILABLE', retriable: true });
      proxy.pass();
      // Reading back has told whether the batch is there.
      expect(await writing).toMatchObject({ durable: script.batch({ transactions: 2 }).to });
      await sink.deliver(script);
      await expectAllOnce(script);
    });
  });

  test('a batch that was cut goes on behind the cut when the rest of it fails', async () => {
    const script = numberedEvents({ transactions: 40, eventsEach: 25, noteBytes: 100 });
    let commits = 0;
    const context = {
      clock: new SlowClock(),
      metrics: countingMetrics('end', 'committed', () => {
        if (++commits === 1) proxy.refuse();
      }),
    };
    await using sink = rig({ exactly_once: true, transaction_timeout: '2s' }, prefix, context);
    await sink.open();
    const writing = sink.deliver(script);
    await waitFor(() => sink.retried.length > 0);
    proxy.pass();
    expect(await writing).toMatchObject({ durable: script.end });
    expect(commits).toBeGreaterThan(1);
    await expectAllOnce(script);
  });

  test('a transaction that the brokers time out is done again, and not taken for a second instance', async () => {
    const script = numberedEvents({ transactions: 20, eventsEach: 10, noteBytes: 100 });
    await using sink = rig({ exactly_once: true, transaction_timeout: '1s' });
    await sink.open();
    let produced = 0;
    let stalled = false;
    proxy.decide = (api) => {
      if (api === API.produce && ++produced === 3) {
        stalled = true;
        setImmediate(() => proxy.stall());
      }
      return 'pass';
    };
    const writing = sink.deliver(script);
    await waitFor(() => stalled);
    // The brokers' own abort marker is the only thing that ends the transaction: it makes room for readers.
    await waitFor(async () => (await abortMarkers([kafka.brokers], `${prefix}public.orders`)) > 0, {
      timeoutMs: 20_000,
    });
    proxy.pass();
    expect(await writing).toMatchObject({ durable: script.end });
    expect(sink.retried.length).toBeGreaterThan(0);
    await expectAllOnce(script);
  });

  test('the broker is killed and comes back in mid-stream', async () => {
    const script = numberedEvents({ transactions: 60, eventsEach: 20, noteBytes: 100 });
    let killing = false;
    const { promise: killed, resolve: wasKilled } = Promise.withResolvers<void>();
    const deliver = async (exactlyOnce: boolean): Promise<string> => {
      const own = `${prefix}${exactlyOnce}.`;
      await using sink = rig({ exactly_once: exactlyOnce, request_timeout: '5s' }, own);
      let batches = 0;
      await deliverAll(sink, script, 5, async () => {
        batches++;
        // The next batches are on their way when it dies.
        if (batches === 3 && !killing) {
          killing = true;
          void kafka.kill9().then(wasKilled);
        }
        if (batches === 6) await killed;
      });
      // A quick restart may heal within the sink's own patience: what counts is that the batches went on over it.
      expect(batches).toBeGreaterThan(6);
      return own;
    };
    const restarted = killed.then(async () => kafka.start());
    const prefixes = await Promise.all([deliver(true), deliver(false)]);
    await restarted;
    for (const own of prefixes) await expectAllOnce(script, own);
  }, 120_000);
});
