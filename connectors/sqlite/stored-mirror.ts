import type { DatabaseSync } from 'node:sqlite';
import type { SearchDefinition } from './mirror-table.ts';

/** What the catalog tables say of a mirror that is there. */
export interface StoredMirror {
  readonly name: string;
  readonly pipeline: string;
  readonly sink: string;
  readonly source: string;
  readonly oid: number;
  readonly template: string;
  readonly maxAttnum: number;
  readonly hasRowidColumn: boolean;
  readonly key: readonly string[];
  readonly search?: SearchDefinition | undefined;
  readonly columns: readonly StoredColumn[];
}

export interface StoredColumn {
  readonly name: string;
  readonly attnum: number;
  readonly family: string;
}

export const CATALOG_SQL = `
  CREATE TABLE IF NOT EXISTS _tailrace_mirrors (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    pipeline TEXT NOT NULL, sink TEXT NOT NULL,
    source TEXT NOT NULL, oid INTEGER NOT NULL, template TEXT NOT NULL,
    max_attnum INTEGER NOT NULL, has_rowid_column INTEGER NOT NULL,
    key TEXT NOT NULL, search TEXT
  ) STRICT;
  CREATE TABLE IF NOT EXISTS _tailrace_columns (
    mirror TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL,
    attnum INTEGER NOT NULL, family TEXT NOT NULL,
    PRIMARY KEY (mirror, name)
  ) STRICT;`;

const SELECT = 'SELECT * FROM _tailrace_mirrors';

export function readMirror(db: DatabaseSync, name: string): StoredMirror | undefined {
  return complete(db, db.prepare(`${SELECT} WHERE name = ?`).get(name));
}

/** The mirror a source table had under another name. */
export function readMirrorOf(
  db: DatabaseSync,
  by: Pick<StoredMirror, 'pipeline' | 'sink' | 'oid' | 'template'>,
): StoredMirror | undefined {
  const found = db
    .prepare(`${SELECT} WHERE pipeline = ? AND sink = ? AND oid = ? AND template = ?`)
    .get(by.pipeline, by.sink, by.oid, by.template);
  return complete(db, found);
}

export function storeMirror(db: DatabaseSync, mirror: StoredMirror): void {
  removeMirror(db, mirror.name);
  db.prepare('INSERT INTO _tailrace_mirrors VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
    mirror.name,
    mirror.pipeline,
    mirror.sink,
    mirror.source,
    mirror.oid,
    mirror.template,
    mirror.maxAttnum,
    mirror.hasRowidColumn ? 1 : 0,
    JSON.stringify(mirror.key),
    mirror.search === undefined ? null : JSON.stringify(mirror.search),
  );
  const insert = db.prepare('INSERT INTO _tailrace_columns VALUES (?, ?, ?, ?)');
  for (const { name, attnum, family } of mirror.columns) insert.run(mirror.name, name, attnum, family);
}

export function removeMirror(db: DatabaseSync, name: string): void {
  db.prepare('DELETE FROM _tailrace_mirrors WHERE name = ?').run(name);
  db.prepare('DELETE FROM _tailrace_columns WHERE mirror = ?').run(name);
}

function complete(db: DatabaseSync, row: Record<string, unknown> | undefined): StoredMirror | undefined {
  if (row === undefined) return undefined;
  const name = row['name'] as string;
  const search = row['search'] as string | null;
  const columns = db.prepare('SELECT name, attnum, family FROM _tailrace_columns WHERE mirror = ?').all(name);
  return {
    name,
    pipeline: row['pipeline'] as string,
    sink: row['sink'] as string,
    source: row['source'] as string,
    oid: row['oid'] as number,
    template: row['template'] as string,
    maxAttnum: row['max_attnum'] as number,
    hasRowidColumn: row['has_rowid_column'] === 1,
    key: JSON.parse(row['key'] as string) as string[],
    search: search === null ? undefined : (JSON.parse(search) as SearchDefinition),
    columns: columns as unknown as StoredColumn[],
  };
}
