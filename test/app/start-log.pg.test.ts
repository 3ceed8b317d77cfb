import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { PipelineHarness } from './pipeline-harness.ts';

describe('with an older copy of the log', () => {
  test('begins a new log at the slot when every sink is past it, and says so', async () => {
    await using harness = await PipelineHarness.open();
    const first = harness.start();
    await first.streaming();
    const ids = [...(await harness.insert(2))];
    await waitFor(() => harness.mirrorIds().length === 2);
    expect(await first.stop()).toBeUndefined();
    const copy = join(harness.dir, 'older-log');
    await cp(harness.logDir, copy, { recursive: true });
    const second = harness.start();
    await second.streaming();
    ids.push(...(await harness.insert(3)));
    await waitFor(() => harness.mirrorIds().length === 5);
    expect(await second.stop()).toBeUndefined();

    await rm(harness.logDir, { recursive: true });
    await cp(copy, harness.logDir, { recursive: true });
    const third = harness.start();
    await third.streaming();
    ids.push(...(await harness.insert(1)));
    await waitFor(() => harness.mirrorIds().length === 6);
    expect(await third.stop()).toBeUndefined();
    expect(await harness.fileIds()).toEqual(ids);
    expect(third.logged.map((line) => line.message).join('\n')).toContain('a new event log begins: the slot');
  });
});

describe('a sink behind what the log still holds', () => {
  test('is detached by name; the others go on', async () => {
    await using harness = await PipelineHarness.open();
    const log = 'event_log: { dir: log, segment: 1MiB }';
    const first = harness.start({ log });
    await first.streaming();
    const before = await harness.insert(1);
    await waitFor(() => harness.mirrorIds().length === 1);
    expect(await first.stop()).toBeUndefined();

    // Left out, the mirror holds nothing back: the log drops what the others have.
    const second = harness.start({ log, without: ['mirror'] });
    await second.streaming();
    const ids = [...before];
    await second.until(async (status) => {
      ids.push(...(await harness.insertWide(20)));
      return status.event_log.begins_after !== first.status?.event_log.begins_after;
    }, 'to drop a segment');
    expect(await second.stop()).toBeUndefined();

    const third = harness.start({ log });
    await third.streaming();
    await third.until(
      (status) => status.sinks.some((sink) => sink.name === 'mirror' && sink.state === 'stopped'),
      'to detach it',
    );
    expect(third.status?.sinks.find((sink) => sink.name === 'mirror')?.error).toMatchObject({
      code: 'E_SINK_BEHIND',
      fix: expect.stringContaining('--without mirror'),
    });
    ids.push(...(await harness.insert(1)));
    await waitFor(async () => (await harness.fileIds()).length === ids.length);
    expect(await harness.fileIds()).toEqual(ids);
    expect(harness.mirrorIds()).toEqual(before);
  });
});
