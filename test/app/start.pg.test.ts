import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { Client, type ClientConfig } from 'pg';
import { describe, expect, test } from 'vitest';
import { createTestDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import { PipelineHarness, type RunningPipeline } from './pipeline-harness.ts';

async function delivered(harness: PipelineHarness, ids: readonly number[]): Promise<void> {
  await waitFor(
    async () => harness.mirrorIds().length === ids.length && (await harness.fileIds()).length >= ids.length,
  );
  expect(harness.mirrorIds()).toEqual(ids);
  expect(await harness.fileIds()).toEqual(ids);
}

async function runOnce(harness: PipelineHarness, ids: readonly number[]): Promise<RunningPipeline> {
  const running = harness.start();
  await running.streaming();
  await delivered(harness, ids);
  expect(await running.stop()).toBeUndefined();
  return running;
}

describe('starting', () => {
  test('for the first time makes publication and slot, delivers what comes, and says what it will not deliver', async () => {
    await using harness = await PipelineHarness.open({
      setup: "INSERT INTO t VALUES (1001, 'before'), (1002, 'before')",
    });
    const running = harness.start();
    await running.streaming();
    const ids = await harness.insert(3);
    await delivered(harness, ids);
    expect(await running.stop()).toBeUndefined();
    expect(running.logged.map((line) => line.message).join('\n')).toMatch(
      /2 rows existed before the slot; not delivered/,
    );
  });

  test('again delivers nothing twice and misses nothing', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    const before = await harness.insert(3);
    await delivered(harness, before);
    expect(await first.stop()).toBeUndefined();
    const during = await harness.insert(2);
    await runOnce(harness, [...before, ...during]);
  });

  test('after a stop without a drain goes on where each sink stands', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    const before = await harness.insert(20);
    await first.kill();
    await runOnce(harness, before);
  });

  test('on another database than the log is of is refused', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    await delivered(harness, await harness.insert());
    await first.stop();
    await using other = await createTestDatabase({
      owner: true,
      setup: 'CREATE TABLE t (id int PRIMARY KEY, v text)',
    });
    expect(await harness.start({ url: other.url }).ended).toMatchObject({ code: 'E_IDENTITY' });
  });

  test('with the slot dropped is refused, and no new slot appears in its place', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    await delivered(harness, await harness.insert());
    await first.stop();
    await harness.slotReleased();
    await harness.database.query('SELECT pg_drop_replication_slot($1)', [harness.slot]);
    expect(await harness.start().ended).toMatchObject({ code: 'E_SLOT_MISSING', exitCode: 4 });
    const { rows } = await harness.database.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [
      harness.slot,
    ]);
    expect(rows).toEqual([]);
  });

  test('with a physical slot of that name is refused', async () => {
    await using harness = await PipelineHarness.open();
    await harness.database.query('SELECT pg_create_physical_replication_slot($1)', [harness.slot]);
    expect(await harness.start().ended).toMatchObject({ code: 'E_IDENTITY' });
    await harness.database.query('SELECT pg_drop_replication_slot($1)', [harness.slot]);
  });

  test('with the slot moved by somebody else is a gap, with its size', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    await delivered(harness, await harness.insert());
    await first.stop();
    await harness.slotReleased();
    await harness.insert(3);
    await harness.database.query('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [
      harness.slot,
    ]);
    const error = await harness.start().ended;
    expect(error).toMatchObject({ code: 'E_GAP', exitCode: 4 });
    expect(error?.message).toMatch(/\d+ bytes of WAL are gone for sink files and sink mirror/);
  });
});

describe("with the log's directory deleted", () => {
  test('resumes by itself when every sink is at or past the slot', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    const before = await harness.insert(3);
    await delivered(harness, before);
    await first.stop();
    await rm(harness.logDir, { recursive: true });
    const during = await harness.insert(2);
    const second = await runOnce(harness, [...before, ...during]);
    expect(second.logged.map((line) => line.message).join('\n')).toMatch(
      /a new event log begins: .*nothing is missing/,
    );
  });

  test('refuses for a sink behind the slot, by name; the others may run without it', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    const before = await harness.insert(2);
    await delivered(harness, before);
    await first.stop();
    // The slot moves on while the mirror is left out.
    const second = harness.start({ without: ['mirror'] });
    await second.streaming();
    const during = await harness.insert(3);
    await waitFor(async () => (await harness.fileIds()).length === 5);
    expect(await second.stop()).toBeUndefined();
    await rm(harness.logDir, { recursive: true });
    const error = await harness.start().ended;
    expect(error).toMatchObject({ code: 'E_SINK_BEHIND', fix: expect.stringContaining('--without mirror') });
    const third = harness.start({ without: ['mirror'] });
    await third.streaming();
    const after = await harness.insert(1);
    await waitFor(async () => (await harness.fileIds()).length === 6);
    expect(await harness.fileIds()).toEqual([...before, ...during, ...after]);
    expect(await third.stop()).toBeUndefined();
  });
});

describe('the slot', () => {
  test('advances while only unpublished tables are written, and a restart after that is no gap', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    const before = await harness.insert(1);
    await delivered(harness, before);
    const lsn = await harness.walEnd();
    await harness.database.query('INSERT INTO unpublished SELECT generate_series(1, 1000)');
    const target = await harness.walEnd();
    expect(target > lsn).toBe(true);
    await waitFor(async () => (await harness.confirmed()) >= target, { timeoutMs: 25_000 });
    await first.kill();
    await runOnce(harness, before);
  });

  test('in use by another client is waited for, then its holder is named', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    const before = await harness.insert();
    await delivered(harness, before);
    await first.stop();
    await harness.slotReleased();
    // How long is waited follows from the time-out after which the server would notice that its client is gone.
    await harness.database.query(`ALTER ROLE ${harness.database.role} SET wal_sender_timeout = '1s'`);
    const holder = await holdSlot(harness);
    const error = await harness.start().ended;
    expect(error).toMatchObject({
      code: 'E_SLOT_ACTIVE',
      exitCode: 6,
      fix: expect.stringContaining('pg_stat_replication'),
    });
    expect(error?.message).toContain(`process ${holder.pid}`);
    const second = harness.start();
    await waitFor(() => second.status !== undefined);
    holder.release();
    await second.streaming();
    expect(await second.stop()).toBeUndefined();
    expect(await harness.fileIds()).toEqual(before);
  });
});

/** Another consumer, reading from the slot until released. */
async function holdSlot(
  harness: PipelineHarness,
): Promise<{ readonly pid: number; readonly release: () => void }> {
  // The types leave the option out.
  const config: ClientConfig & { replication: 'database' } = {
    connectionString: harness.database.adminUrl,
    replication: 'database',
  };
  const client = new Client(config);
  client.on('error', () => {});
  await client.connect();
  client
    .query(
      `START_REPLICATION SLOT ${harness.slot} LOGICAL 0/0 (proto_version '1', publication_names '${harness.slot}')`,
    )
    .catch(() => {});
  const pid = await waitFor(async () => {
    const { rows } = await harness.database.query<{ active_pid: number | null }>(
      'SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1',
      [harness.slot],
    );
    return rows[0]?.active_pid ?? undefined;
  });
  const { connection } = client as unknown as { connection: { stream: Socket } };
  return { pid, release: () => connection.stream.destroy() };
}
