import { describe, expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { PipelineHarness } from './pipeline-harness.ts';

describe('a sink that is not available', () => {
  test('for longer than wal_sender_timeout does not end the connection', async () => {
    await using harness = await PipelineHarness.open();
    await harness.database.query(`ALTER ROLE ${harness.database.role} SET wal_sender_timeout = '1s'`);
    const running = harness.start({ to: '[mirror]' });
    await running.streaming();
    const before = await harness.insert();
    await waitFor(() => harness.mirrorIds().length === 1);
    const backend = await walsender(harness);
    const during: number[] = [];
    {
      using _lock = harness.lockMirror();
      const untilMs = performance.now() + 4000;
      await waitFor(async () => {
        during.push(...(await harness.insert(5)));
        return performance.now() > untilMs;
      });
    }
    await waitFor(() => harness.mirrorIds().length === before.length + during.length);
    expect(await walsender(harness)).toBe(backend);
    expect(await running.stop()).toBeUndefined();
  });

  test('for the whole run leaves the others alone, keeps the WAL of the server within wal_budget, and catches up later', async () => {
    await using harness = await PipelineHarness.open({ source: '  wal_budget: 1MiB' });
    const first = harness.start();
    await first.streaming();
    const ids = [...(await harness.insert(2))];
    await waitFor(() => harness.mirrorIds().length === 2);
    {
      using _lock = harness.lockMirror();
      for (let round = 0; round < 3; round++) {
        ids.push(...(await harness.insert(10)));
        await harness.database.query('UPDATE t SET v = repeat(md5(random()::text), 100) WHERE id = 1');
        await harness.database.query('INSERT INTO unpublished SELECT generate_series(1, 20000)');
      }
      await waitFor(async () => new Set(await harness.fileIds()).size === ids.length);
      const end = await harness.walEnd();
      await waitFor(async () => end - (await harness.confirmed()) <= 1024n * 1024n, { timeoutMs: 25_000 });
      await first.until((status) => !status.source.server_keeps_all, 'to say that only the log keeps all');
      expect(first.status?.sinks.find((sink) => sink.name === 'mirror')).toMatchObject({ state: 'retrying' });
      expect(first.status?.sinks.find((sink) => sink.name === 'files')).toMatchObject({
        state: 'streaming',
        retries: 0,
      });
      await first.kill();
    }
    expect(harness.mirrorIds()).toHaveLength(2);
    const second = harness.start();
    await second.streaming();
    await waitFor(() => harness.mirrorIds().length === ids.length);
    expect(await second.stop()).toBeUndefined();
  });

  test('at SIGTERM costs the deadline and is told by the exit code; nothing is lost', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start({ more: 'shutdown_timeout: 1s' });
    await first.streaming();
    const ids = [...(await harness.insert(1))];
    await waitFor(() => harness.mirrorIds().length === 1);
    {
      using _lock = harness.lockMirror();
      ids.push(...(await harness.insert(2)));
      await waitFor(async () => (await harness.fileIds()).length === 3);
      expect(await first.stop()).toMatchObject({
        code: 'E_DRAIN',
        exitCode: 8,
        message: expect.stringContaining('sink mirror'),
      });
    }
    const second = harness.start();
    await second.streaming();
    await waitFor(() => harness.mirrorIds().length === ids.length);
    expect(await second.stop()).toBeUndefined();
    expect(await harness.fileIds()).toEqual(ids);
  });
});

describe('SIGTERM', () => {
  test('delivers and confirms everything that was read, under load, and the next start repeats nothing', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    const ids = await harness.insert(100);
    expect(await first.stop()).toBeUndefined();
    const confirmed = await harness.confirmed();
    const second = harness.start();
    await second.streaming();
    await waitFor(async () => (await harness.fileIds()).length === ids.length);
    expect(await second.stop()).toBeUndefined();
    expect(await harness.fileIds()).toEqual(ids);
    expect(harness.mirrorIds()).toEqual(ids);
    expect((await harness.confirmed()) >= confirmed).toBe(true);
  });

  test('before anything happened ends at once', async () => {
    await using harness = await PipelineHarness.open();
    const running = harness.start({ more: 'shutdown_timeout: 1h' });
    await running.streaming();
    expect(await running.stop()).toBeUndefined();
  });

  test('while the server is down ends in order', async () => {
    await using harness = await PipelineHarness.open();
    const running = harness.start({ url: 'postgres://nobody@127.0.0.1:1/nothing' });
    await waitFor(() => running.logged.some((line) => line.fields['code'] === 'E_CONNECT'));
    expect(await running.stop()).toBeUndefined();
  });
});

async function walsender(harness: PipelineHarness): Promise<number | null | undefined> {
  const { rows } = await harness.database.query<{ active_pid: number | null }>(
    'SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1',
    [harness.slot],
  );
  return rows[0]?.active_pid;
}
