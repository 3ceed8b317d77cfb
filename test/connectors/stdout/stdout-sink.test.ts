import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { stdoutConfig, stdoutMapping } from '../../../connectors/stdout/config.ts';
import { createStdoutConnector, stdoutConnector } from '../../../connectors/stdout/stdout-connector.ts';
import { waitFor } from '../../support/wait.ts';
import { EventScript, mapping, relation, sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';

const program = new URL('./printing-process.ts', import.meta.url).pathname;
const t = relation({ table: 't', key: ['id'], columns: { id: 'int4', price: 'numeric' } });

function collect() {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  return { stream, text: () => text };
}

test('a line per record, and no position', async () => {
  const { stream, text } = collect();
  const connector = createStdoutConnector(stream);
  const sink = connector.create(stdoutConfig.parse({}), sinkContext({ dataDir: '/nowhere' }));
  const signal = new AbortController().signal;
  expect(await sink.open(signal)).toBeUndefined();
  const options = stdoutMapping.parse({ records: 'key_value', format: 'plain' });
  const delivery = new Delivery(sink, [mapping({ sink: 'out', options })]);
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(t, { id: '1', price: '1.10' });
    tx.delete(t, { id: '1' });
  });
  expect(await delivery.write(script)).toEqual({ accepted: script.end, rejected: [] });
  expect(text()).toBe('{"key":{"id":1},"value":{"id":1,"price":"1.10"}}\n{"key":{"id":1},"value":null}\n');
  expect(stdoutConnector.capabilities({}).positioned).toBe(false);
  await sink.close();
});

test('an event that has no faithful form is refused and its batch is not printed', async () => {
  const { stream, text } = collect();
  const sink = createStdoutConnector(stream).create({}, sinkContext({ dataDir: '/nowhere' }));
  const delivery = new Delivery(sink, [mapping({ sink: 'out', options: stdoutMapping.parse({}) })]);
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(t, { id: '1', price: '1' });
    tx.insert(t, { id: '2', price: 'NaN' });
  });
  expect((await delivery.write(script)).rejected).toMatchObject([{ item: 1, reason: 'E_UNSUPPORTED_ROW' }]);
  expect(text()).toBe('');
});

test('a slow reader holds the writer, not its memory', async () => {
  const child = spawn(process.execPath, [program, '2000000', '1000'], { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    let said = '';
    child.stderr?.on('data', (text) => (said += String(text)));
    const written = () => Number(/(\d+) rss \d+\n$/.exec(said)?.[1] ?? 0);
    // Nobody reads: the pipe fills up and the writer stands still.
    let last = -1;
    await waitFor(
      () => {
        const stands = written() === last;
        last = written();
        return stands && (child.stdout?.readableLength ?? 0) > 0;
      },
      { intervalMs: 300 },
    );
    expect(last).toBeLessThan(5000);
    // Reading lets it go on.
    let lines = 0;
    child.stdout?.on('data', (chunk: Buffer) => {
      for (const byte of chunk) if (byte === 0x0a) lines++;
    });
    await waitFor(() => lines > 20_000);
  } finally {
    child.kill('SIGKILL');
  }
  await once(child, 'exit');
});

test('a reader that leaves ends the run in order', () => {
  const { status, stdout, stderr } = spawnSync(
    'bash',
    ['-c', `"$@" | head -n 3`, 'bash', process.execPath, program, '100000', '1000', 'run'],
    { encoding: 'utf8' },
  );
  expect(status).toBe(0);
  expect(stdout.split('\n')).toHaveLength(4);
  expect(stderr).toMatch(/finished\n$/);
});

test('without a run to be ended it is an error', () => {
  const { stderr } = spawnSync(
    'bash',
    ['-c', `"$@" | head -n 3`, 'bash', process.execPath, program, '100000', '1000'],
    { encoding: 'utf8' },
  );
  expect(stderr).toMatch(/E_SINK_UNAVAILABLE .*EPIPE/);
});
