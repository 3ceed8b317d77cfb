import { expect, test } from 'vitest';
import { nullConfig, nullMapping } from '../../../connectors/null/config.ts';
import { nullConnector } from '../../../connectors/null/null-connector.ts';
import { type NullReport, NullSink } from '../../../connectors/null/null-sink.ts';
import { EventScript, mapping, relation, sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';

const t = relation({ table: 't', key: ['id'], columns: { id: 'int4', note: 'text' } });
const COMMIT_US = 1_760_000_000_000_000n;

function setUp(config: object, mappingOptions: object = {}) {
  const printed: string[] = [];
  let finished = 0;
  let nowMs = 5000;
  const clock = { nowMs: () => 0, monotonicMs: () => (nowMs += 250), sleep: async () => {} };
  const time = { us: Number(COMMIT_US) };
  const sink = new NullSink({
    config: nullConfig.parse(config),
    context: sinkContext({ dataDir: '/nowhere', name: 'measure', clock, finish: () => finished++ }),
    nowUs: () => time.us,
    print: (line) => printed.push(line),
  });
  const delivery = new Delivery(sink, [
    mapping({ sink: 'measure', options: nullMapping.parse(mappingOptions) }),
  ]);
  return { sink, delivery, printed, time, finished: () => finished };
}

/** Each transaction commits a millisecond after the one before. */
function script(rows: readonly number[]): EventScript {
  const built = new EventScript({ commitTimeUs: COMMIT_US });
  let id = 0;
  for (const count of rows) {
    built.transaction((tx) => {
      for (let i = 0; i < count; i++) tx.insert(t, { id: String(id++), note: 'ä' });
    });
  }
  return built;
}

test('counts events, records and bytes, and measures from the commit', async () => {
  const { sink, delivery, time } = setUp({}, { format: 'plain' });
  const built = script([98, 2]);
  built.transaction((tx) => tx.update(t, { id: '5', note: null }, { oldKey: { id: '4' } }));
  time.us = Number(COMMIT_US) + 10_000;
  expect(await delivery.write(built)).toEqual({ accepted: built.end, rejected: [] });
  expect(await sink.flush()).toEqual(built.end);
  const { report } = sink;
  expect(report).toMatchObject({ sink: 'measure', events: 101, records: 102 });
  // {"id":0} + {"id":0,"note":"ä"} and so on.
  expect(report.bytes).toBe(
    Array.from({ length: 100 }, (_, id) => `{"id":${id}}{"id":${id},"note":"ä"}`)
      .concat('{"id":4}', '{"id":5}{"id":5,"note":null}')
      .reduce((bytes, text) => bytes + Buffer.byteLength(text), 0),
  );
  expect(report.latency_ms.max).toBe(9);
  expect(report.latency_ms.p50).toBeCloseTo(9, 0);
  expect(report.latency_ms.p99).toBeCloseTo(9, 0);
});

test('makes no bytes when told so, and still counts', async () => {
  const { sink, delivery } = setUp({ bytes: false });
  await delivery.write(script([3]));
  expect(sink.report).toMatchObject({ events: 3, records: 3, bytes: 0 });
});

test('an event that has no faithful form is refused as by a real target', async () => {
  const prices = relation({ table: 'p', key: ['id'], columns: { id: 'int4', price: 'numeric' } });
  const { sink, delivery } = setUp({});
  const built = new EventScript();
  built.transaction((tx) => tx.insert(prices, { id: '1', price: 'Infinity' }));
  expect((await delivery.write(built)).rejected).toMatchObject([{ item: 0, reason: 'E_UNSUPPORTED_ROW' }]);
  expect(sink.report.events).toBe(0);
});

test('after so many events it prints one line, ends the run, and counts no more', async () => {
  const { sink, delivery, printed, finished } = setUp({ stop_after: 5, report: true });
  const built = script([3, 3, 3]);
  let after = (await delivery.write(built, { transactions: 1 })).accepted?.position;
  expect([finished(), printed]).toEqual([0, []]);
  after = (await delivery.write(built, { after, transactions: 1 })).accepted?.position;
  expect(finished()).toBe(1);
  const [line = ''] = printed;
  expect(line.endsWith('\n')).toBe(true);
  const report = JSON.parse(line) as NullReport;
  expect(report).toMatchObject({ sink: 'measure', events: 6, records: 6 });
  expect(report.seconds).toBeGreaterThan(0);
  expect(report.events_per_second).toBe(Math.round(6 / report.seconds));
  expect((await delivery.write(built, { after })).accepted).toEqual(built.end);
  await sink.close();
  expect([finished(), printed.length, sink.report.events]).toEqual([1, 1, 6]);
});

test('the report comes at the end of a run that nothing stopped', async () => {
  const { sink, delivery, printed } = setUp({ report: true });
  await delivery.write(script([4]));
  await sink.close();
  await sink.close();
  expect(printed.map((line) => (JSON.parse(line) as NullReport).events)).toEqual([4]);
});

test('it holds nobody back', () => {
  expect(nullConnector.capabilities(nullConfig.parse({})).positioned).toBe(false);
});
