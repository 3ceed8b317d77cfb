import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EventScript, relation } from '../batch-builder.ts';
import { SmallDisk } from '../small-disk.ts';
import { seededTransactions, Workload } from '../workload.ts';
import { Directory, parseLines, toFile } from './file-harness.ts';

const t = relation({ table: 't', key: ['id'], columns: { id: 'int4', text: 'text' } });
const plain = [toFile({ format: 'plain', file: '{table}.ndjson' })];
const writer = new URL('./history-writer-process.ts', import.meta.url);

test.skipIf(!SmallDisk.possible)(
  'a full disk leaves whole lines, and with room again the same batch goes in',
  async () => {
    using disk = new SmallDisk(512);
    const dir = new Directory(join(disk.dir, 'out'));
    const { delivery, sink } = await dir.open({}, plain);
    const script = new EventScript();
    const insert = (id: number, bytes: number) =>
      script.transaction((tx) => tx.insert(t, { id: String(id), text: 'x'.repeat(bytes) }));
    insert(1, 100);
    const { accepted } = await delivery.write(script);
    await sink.flush();
    for (let id = 2; id < 8; id++) insert(id, 2000);
    disk.fill();
    // The last page of the file still has room: the write is cut off in the middle of a line.
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(delivery.write(script, { after: accepted?.position })).rejects.toMatchObject({
        code: 'E_SINK_UNAVAILABLE',
        retriable: true,
        message: expect.stringContaining('ENOSPC') as string,
      });
      expect(dir.lines('t.ndjson').map(({ id }) => id)).toEqual([1]);
    }
    await expect(sink.flush()).rejects.toMatchObject({ code: 'E_SINK_UNAVAILABLE', retriable: true });
    disk.free();
    await delivery.write(script, { after: accepted?.position });
    expect(await sink.flush()).toEqual(script.end);
    expect(dir.lines('t.ndjson').map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    await sink.close();
    expect((await dir.open({}, plain)).stored).toEqual(script.end);
    await dir[Symbol.asyncDispose]();
  },
);

test('a limit of the process on the size of files is met and outlived in the same way', async () => {
  await using dir = new Directory();
  const seed = 4711;
  const run = (limit: string) =>
    spawnSync(
      'bash',
      [
        '-c',
        `ulimit -f ${limit}; exec "$@"`,
        'bash',
        process.execPath,
        writer.pathname,
        dir.dir,
        '{}',
        String(seed),
        '60',
      ],
      { encoding: 'utf8' },
    );
  const limited = run('16');
  expect(limited.status).toBe(1);
  expect(limited.stderr).toMatch(/E_SINK_UNAVAILABLE/);
  expect(limited.stderr).toMatch(/EFBIG/);
  for (const file of dir.files()) parseLines(dir.read(file));
  expect(run('unlimited')).toMatchObject({ status: 0 });
  await using reference = new Directory();
  const { delivery } = await reference.open({}, [toFile({ records: 'key_value' })]);
  await delivery.write(new Workload(seededTransactions(seed, 60)).script);
  expect(dir.files()).toEqual(reference.files());
  for (const file of dir.files()) expect(dir.read(file) === reference.read(file), file).toBe(true);
});
