import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { sqliteConnector } from '../../../connectors/sqlite/sqlite-connector.ts';
import { EventScript, relation, sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';
import { SmallDisk } from '../small-disk.ts';
import { toMirror } from './mirror-harness.ts';

const t = relation({ table: 't', key: ['id'], columns: { id: 'int4', a: 'text' } });

test.skipIf(!SmallDisk.possible)(
  'on a full disk nothing moves, and with room again the same batch goes in',
  async () => {
    using disk = new SmallDisk(1024);
    const path = join(disk.dir, 'mirror.db');
    const signal = new AbortController().signal;
    const sink = sqliteConnector.create(
      sqliteConnector.config.parse({ path }),
      sinkContext({ dataDir: disk.dir }),
    );
    try {
      await sink.open(signal);
      const delivery = new Delivery(sink, [toMirror()]);
      const script = new EventScript();
      script.transaction((tx) => tx.insert(t, { id: '0', a: 'before' }));
      const { accepted } = await delivery.write(script);
      script.transaction((tx) => {
        for (let i = 1; i <= 30; i++) tx.insert(t, { id: String(i), a: 'x'.repeat(2000) });
      });
      disk.fill();
      for (let attempt = 0; attempt < 2; attempt++) {
        await expect(delivery.write(script, { after: accepted?.position })).rejects.toMatchObject({
          code: 'E_SINK_UNAVAILABLE',
          retriable: true,
        });
        expect(await sink.flush(signal)).toEqual(accepted);
      }
      disk.free();
      expect((await delivery.write(script, { after: accepted?.position })).durable).toEqual(script.end);
      const db = new DatabaseSync(path, { readOnly: true });
      expect(db.prepare('SELECT count(*) n, sum(length(a)) bytes FROM t').get()).toEqual({
        n: 31,
        bytes: 60_006,
      });
      db.close();
    } finally {
      await sink.close();
    }
  },
);
