import { expect, test } from 'vitest';
import { Catalog } from '../../../../connectors/postgres/catalog/catalog.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { decodeMessage } from '../../../../connectors/postgres/pgoutput/decode-message.ts';
import type { RelationMessage } from '../../../../connectors/postgres/pgoutput/messages.ts';
import type { TableRule } from '../../../../src/config/pipeline-config.ts';
import type { ColumnType, RelationDefinition } from '../../../../src/events/relation.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import { ruleFor, rulesFor } from '../setup/rules.ts';

const signal = new AbortController().signal;

function catalogOf(database: TestDatabase, rules: readonly TableRule[] = rulesFor('*.*')): Catalog {
  return new Catalog({ settings: resolveConnection({ url: database.url }, {}), rules, publication: 'p' });
}

async function describe(database: TestDatabase, table: string): Promise<RelationDefinition> {
  await using catalog = catalogOf(database);
  const all = await catalog.tables(signal);
  const found = all.find(({ definition }) => definition.table === table);
  if (found === undefined) throw new Error(`no table ${table}`);
  return found.definition;
}

/** What the type of a column looks like, without what every type has. */
function shape({ name, kind, typmod, element, base, labels, delimiter }: ColumnType): unknown {
  return {
    name,
    kind,
    ...(typmod === -1 ? {} : { typmod }),
    ...(element === undefined ? {} : { element: shape(element), delimiter }),
    ...(base === undefined ? {} : { base: shape(base) }),
    ...(labels === undefined ? {} : { labels }),
  };
}

/** The Relation messages the server sends for what has been written since the slot was made. */
class Wal {
  readonly #database: TestDatabase;
  readonly #slot: string;

  private constructor(database: TestDatabase) {
    this.#database = database;
    this.#slot = `${database.name}_slot`;
  }

  static async open(
    database: TestDatabase,
    publication = 'FOR ALL TABLES WITH (publish_via_partition_root)',
  ) {
    const wal = new Wal(database);
    await database.query(`CREATE PUBLICATION p ${publication}`);
    await database.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [wal.#slot]);
    return wal;
  }

  async relations(): Promise<Map<string, RelationMessage>> {
    const { rows } = await this.#database.query<{ data: Buffer }>(
      "SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', 'p')",
      [this.#slot],
    );
    const messages = rows.map(({ data }) => decodeMessage(data, 0, data.length));
    const relations = messages.filter((message) => message.kind === 'relation');
    return new Map(relations.map((message) => [message.table, message]));
  }
}

test('types: domains, enums, arrays, composites, ranges, as nested as they are', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE SCHEMA types;
      CREATE TYPE types.mood AS ENUM ('sad', 'ok');
      ALTER TYPE types.mood ADD VALUE 'meh' BEFORE 'ok';
      CREATE DOMAIN types.price AS numeric(10, 2) CHECK (VALUE >= 0);
      CREATE DOMAIN types.net_price AS types.price NOT NULL;
      CREATE DOMAIN types.tags AS varchar(20)[];
      CREATE TYPE types.pair AS (a int, b text);
      CREATE TYPE types.span AS RANGE (subtype = float8);
      CREATE TABLE t (
        id int PRIMARY KEY, amount numeric(12, 3), free numeric, code varchar(5), codes varchar(5)[], amounts numeric(6,2)[],
        m types.mood, ms types.mood[], p types.price, n types.net_price, ps types.price[], g types.tags, gs types.tags[],
        c types.pair, cs types.pair[], s types.span, sm types.span_multirange, r int4range, b box, bs box[],
        v int2vector, o oidvector, at timestamptz(3), bits bit(4), iv interval day to second(2), j jsonb, x xml, any_name name, ch "char")`,
  });
  const { columns } = await describe(database, 't');
  const shapes = Object.fromEntries(columns.map(({ name, type }) => [name, shape(type)]));
  const varchar5 = { name: 'varchar', kind: 'base', typmod: 9 };
  const mood = { name: 'mood', kind: 'enum', labels: ['sad', 'meh', 'ok'] };
  const price = {
    name: 'price',
    kind: 'domain',
    typmod: 655366,
    base: { name: 'numeric', kind: 'base', typmod: 655366 },
  };
  const tags = {
    name: 'tags',
    kind: 'domain',
    typmod: 24,
    base: {
      name: '_varchar',
      kind: 'array',
      typmod: 24,
      delimiter: ',',
      element: { name: 'varchar', kind: 'base', typmod: 24 },
    },
  };
  const pair = { name: 'pair', kind: 'composite' };
  expect(shapes).toMatchObject({
    id: { name: 'int4', kind: 'base' },
    amount: { name: 'numeric', kind: 'base', typmod: 786439 },
    code: varchar5,
    codes: { name: '_varchar', kind: 'array', typmod: 9, element: varchar5, delimiter: ',' },
    amounts: { kind: 'array', element: { name: 'numeric', typmod: 393222 } },
    m: mood,
    ms: { name: '_mood', kind: 'array', element: mood },
    p: price,
    n: { name: 'net_price', kind: 'domain', base: price },
    ps: { name: '_price', kind: 'array', element: price },
    g: tags,
    gs: { name: '_tags', kind: 'array', element: tags },
    c: pair,
    cs: { kind: 'array', element: pair },
    s: { name: 'span', kind: 'range' },
    sm: { name: 'span_multirange', kind: 'multirange' },
    r: { name: 'int4range', kind: 'range' },
    b: { name: 'box', kind: 'base' },
    bs: { name: '_box', kind: 'array', delimiter: ';' },
    // Their text is a list of numbers between blanks, not an array's.
    v: { name: 'int2vector', kind: 'base' },
    o: { name: 'oidvector', kind: 'base' },
    at: { name: 'timestamptz', typmod: 3 },
    bits: { name: 'bit', typmod: 4 },
    x: { name: 'xml', kind: 'base' },
    any_name: { name: 'name', kind: 'base' },
    ch: { name: 'char', kind: 'base' },
  });
  expect(columns.find(({ name }) => name === 'm')?.type.schema).toBe('types');
  expect(shapes['free']).toEqual({ name: 'numeric', kind: 'base' });
  const nullable = columns.filter((column) => !column.nullable).map(({ name }) => name);
  expect(nullable).toEqual(['id', 'n']);
});

test('a table is described alike from the catalog and from what the server sends for it', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(10, 2);
      CREATE TABLE plain (id int PRIMARY KEY, dropped int, name varchar(20) NOT NULL, m mood, p price[], g int GENERATED ALWAYS AS (id * 2) STORED);
      ALTER TABLE plain DROP COLUMN dropped;
      CREATE TABLE pair (a int, b int, c int NOT NULL, PRIMARY KEY (b, a));
      CREATE TABLE whole (id int PRIMARY KEY, v text); ALTER TABLE whole REPLICA IDENTITY FULL;
      CREATE TABLE by_index (id int PRIMARY KEY, code text NOT NULL); CREATE UNIQUE INDEX code ON by_index (code);
      ALTER TABLE by_index REPLICA IDENTITY USING INDEX code;
      CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
      CREATE TABLE keyless (a int, b int);
      CREATE TABLE uniq (a int, b int NOT NULL, c int NOT NULL); CREATE UNIQUE INDEX aa ON uniq (a); CREATE UNIQUE INDEX bc ON uniq (c, b);
      CREATE UNIQUE INDEX partial ON uniq (b) WHERE b > 0; CREATE UNIQUE INDEX expression ON uniq ((b + 1)); CREATE UNIQUE INDEX including ON uniq (b) INCLUDE (c);
      CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);
      CREATE TABLE "Odd.Name" ("Key ""1""" int PRIMARY KEY, "sp ace" text, "ünïcode" text);
      CREATE TABLE parted (a text, id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
      CREATE TABLE parted_1 (id int NOT NULL, a text); ALTER TABLE parted ATTACH PARTITION parted_1 FOR VALUES FROM (0) TO (100);`,
  });
  const wal = await Wal.open(database);
  await database.query(
    `INSERT INTO plain (id, name) VALUES (1, 'x'); INSERT INTO pair VALUES (1, 2, 3); INSERT INTO whole VALUES (1);
     INSERT INTO by_index VALUES (1, 'x'); INSERT INTO nothing VALUES (1); INSERT INTO keyless VALUES (1); INSERT INTO uniq VALUES (1, 1, 1);
     INSERT INTO deferred VALUES (1); INSERT INTO "Odd.Name" VALUES (1); INSERT INTO parted VALUES ('x', 1)`,
  );
  const sent = await wal.relations();
  // The server describes a partition too, although its rows come under the root's name.
  expect(sent.delete('parted_1')).toBe(true);
  await using catalog = catalogOf(database);
  const described = new Map(
    (await catalog.tables(signal)).map(({ definition }) => [definition.table, definition]),
  );
  expect([...described.keys()].sort()).toEqual([...sent.keys()].sort());
  for (const message of sent.values()) {
    expect(await catalog.relation(message, signal)).toEqual(described.get(message.table));
  }
  const keyOf = (table: string) => {
    const definition = described.get(table);
    return definition?.key.map((i) => definition.columns[i]?.name);
  };
  expect(keyOf('pair')).toEqual(['b', 'a']);
  expect(keyOf('whole')).toEqual(['id']);
  expect(keyOf('by_index')).toEqual(['id']);
  expect(keyOf('nothing')).toEqual(['id']);
  expect(keyOf('keyless')).toEqual([]);
  expect(keyOf('uniq')).toEqual(['c', 'b']);
  expect(keyOf('deferred')).toEqual(['id']);
  expect(keyOf('Odd.Name')).toEqual(['Key "1"']);
  expect(keyOf('parted')).toEqual(['id']);
  expect(described.get('plain')?.columns.map(({ name, attnum }) => [name, attnum])).toEqual([
    ['id', 1],
    ['name', 3],
    ['m', 4],
    ['p', 5],
  ]);
  expect(described.get('by_index')?.columns.map(({ inIdentity }) => inIdentity)).toEqual([false, true]);
  expect(described.get('plain')?.columns.every(({ captured }) => captured)).toBe(true);
});

test('column lists and published generated columns are described as they will be sent', async () => {
  await using database = await createTestDatabase({
    setup: 'CREATE TABLE t (id int PRIMARY KEY, a int, b int, twice int GENERATED ALWAYS AS (id * 2) STORED)',
  });
  const { rows } = await database.query<{ v: number }>(
    "SELECT current_setting('server_version_num')::int AS v",
  );
  const version = rows[0]?.v ?? 0;
  if (version < 150_000) return;
  const wal = await Wal.open(database, 'FOR TABLE t (id, b)');
  await database.query('INSERT INTO t VALUES (1, 2, 3)');
  const [listed] = (await wal.relations()).values();
  await using catalog = catalogOf(database);
  const names = async () => (await catalog.tables(signal))[0]?.definition.columns.map(({ name }) => name);
  expect(await names()).toEqual(['id', 'b']);
  expect(await catalog.relation(listed as RelationMessage, signal)).toEqual(
    (await catalog.tables(signal))[0]?.definition,
  );
  if (version < 180_000) return;
  await database.query(
    'ALTER PUBLICATION p SET TABLE t; ALTER PUBLICATION p SET (publish_generated_columns = stored)',
  );
  await database.query('INSERT INTO t VALUES (2, 2, 3)');
  const [generated] = (await wal.relations()).values();
  expect(await names()).toEqual(['id', 'a', 'b', 'twice']);
  expect(await catalog.relation(generated as RelationMessage, signal)).toEqual(
    (await catalog.tables(signal))[0]?.definition,
  );
});

test('an old message against a newer catalog: what it says counts, what still fits is completed', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TYPE mood AS ENUM ('sad');
      CREATE TABLE t (id int PRIMARY KEY, renamed text NOT NULL, dropped mood, retyped int NOT NULL, kept text NOT NULL)`,
  });
  const wal = await Wal.open(database);
  await database.query("INSERT INTO t VALUES (1, 'r', 'sad', 2, 'k')");
  const message = (await wal.relations()).get('t') as RelationMessage;
  await database.query(
    `ALTER TABLE t RENAME id TO key; ALTER TABLE t RENAME renamed TO other; ALTER TABLE t DROP COLUMN dropped;
     ALTER TABLE t ALTER COLUMN retyped TYPE bigint; ALTER TABLE t ADD COLUMN added int; DROP TYPE mood; ALTER TABLE t RENAME TO u`,
  );
  await using catalog = catalogOf(database);
  const definition = await catalog.relation(message, signal);
  expect(definition).toMatchObject({
    schema: 'public',
    table: 't',
    oid: message.oid,
    replicaIdentity: 'default',
    key: [0],
  });
  const mood = message.columns[2]?.typeOid;
  expect(
    definition.columns.map(({ name, attnum, nullable, type }) => [
      name,
      attnum,
      nullable,
      type.name,
      type.kind,
    ]),
  ).toEqual([
    ['id', 0, true, 'int4', 'base'],
    ['renamed', 0, true, 'text', 'base'],
    ['dropped', 0, true, `oid ${mood}`, 'unknown'],
    ['retyped', 0, true, 'int4', 'base'],
    ['kept', 5, false, 'text', 'base'],
  ]);
});

test('a table that is gone is defined by its message', async () => {
  await using database = await createTestDatabase({
    setup: 'CREATE DOMAIN price AS numeric(8, 2); CREATE TABLE t (a int, id int PRIMARY KEY, p price)',
  });
  const wal = await Wal.open(database);
  await database.query('INSERT INTO t VALUES (1, 2, 3)');
  const message = (await wal.relations()).get('t') as RelationMessage;
  await database.query('DROP TABLE t');
  await using catalog = catalogOf(database);
  const { columns, key } = await catalog.relation(message, signal);
  expect(key).toEqual([1]);
  expect(columns.map(({ name, attnum, type }) => [name, attnum, type.kind])).toEqual([
    ['a', 0, 'base'],
    ['id', 0, 'base'],
    ['p', 0, 'domain'],
  ]);
});

test('a label added to an enum is seen with the next message', async () => {
  await using database = await createTestDatabase({
    setup: "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id int PRIMARY KEY, m mood)",
  });
  const wal = await Wal.open(database);
  await database.query("INSERT INTO t VALUES (1, 'sad')");
  const message = (await wal.relations()).get('t') as RelationMessage;
  await using catalog = catalogOf(database);
  const labels = async () => (await catalog.relation(message, signal)).columns[1]?.type.labels;
  expect(await labels()).toEqual(['sad']);
  await database.query("ALTER TYPE mood ADD VALUE 'glad'");
  expect(await labels()).toEqual(['sad', 'glad']);
});

test('a constraint that was never checked says nothing of the rows there are', async () => {
  await using database = await createTestDatabase({
    setup: 'CREATE TABLE t (id int PRIMARY KEY, a int, b int NOT NULL)',
  });
  const { rows } = await database.query<{ v: number }>(
    "SELECT current_setting('server_version_num')::int AS v",
  );
  if ((rows[0]?.v ?? 0) < 180_000) return;
  await database.query(
    'INSERT INTO t VALUES (1, NULL, 1); ALTER TABLE t ADD CONSTRAINT n NOT NULL a NOT VALID',
  );
  expect((await describe(database, 't')).columns.map(({ nullable }) => nullable)).toEqual([
    false,
    true,
    false,
  ]);
});

test('columns that are left out are marked, in the stream too', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE t (id int PRIMARY KEY, card text, name text); CREATE TABLE u (id int PRIMARY KEY, card text);
            CREATE TABLE w (id int PRIMARY KEY, card text); ALTER TABLE w REPLICA IDENTITY FULL`,
  });
  const rules = [
    ruleFor('public.t', { include: ['id', 'name'] }),
    ruleFor('public.*', { exclude: ['card'] }),
  ];
  const wal = await Wal.open(database);
  await database.query("INSERT INTO t VALUES (1, 'secret', 'n')");
  const message = (await wal.relations()).get('t') as RelationMessage;
  await using catalog = catalogOf(database, rules);
  const captured = ({ columns }: RelationDefinition) =>
    columns.filter((column) => column.captured).map(({ name }) => name);
  const tables = await catalog.tables(signal);
  const left = tables.map(({ definition }) => [definition.table, ...captured(definition)].join(' '));
  expect(left.sort()).toEqual(['t id name', 'u id', 'w id']);
  expect(captured(await catalog.relation(message, signal))).toEqual(['id', 'name']);
  // A table that no rule selects has nothing to give.
  await using none = catalogOf(database, rulesFor('public.u'));
  expect(none.selects({ schema: 'public', table: 't' })).toBe(false);
  expect(captured(await none.relation(message, signal))).toEqual([]);
});

test.each<[string, TableRule, string]>([
  ['the key left out', ruleFor('public.t', { exclude: ['id'] }), 'leaves out the column "id" of public.t'],
  [
    'the key not included',
    ruleFor('public.*', { include: ['name'] }),
    'leaves out the column "id" of public.t',
  ],
  [
    'the identity left out',
    ruleFor('public.t', { exclude: ['code'] }),
    'leaves out the column "code" of public.t',
  ],
  ['no such column', ruleFor('public.t', { exclude: ['crad'] }), 'names the column "crad"'],
])('%s is an error', async (_what, rule, message) => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE t (id int PRIMARY KEY, name text, code text NOT NULL); CREATE UNIQUE INDEX code ON t (code);
            ALTER TABLE t REPLICA IDENTITY USING INDEX code`,
  });
  await using catalog = catalogOf(database, [rule]);
  await expect(catalog.tables(signal)).rejects.toMatchObject({
    code: 'E_CONFIG',
    message: expect.stringContaining(message),
  });
  await expect(catalog.tables(signal)).rejects.toThrow('tailrace.yaml:1:1');
});

test('a column that was left out does not slip through under a new name', async () => {
  await using database = await createTestDatabase({
    setup: 'CREATE TABLE t (id int PRIMARY KEY, card text)',
  });
  const wal = await Wal.open(database);
  await using catalog = catalogOf(database, [ruleFor('public.t', { exclude: ['card'] })]);
  await catalog.tables(signal);
  await database.query('ALTER TABLE t RENAME card TO card_no; INSERT INTO t VALUES (1)');
  const message = (await wal.relations()).get('t') as RelationMessage;
  await expect(catalog.relation(message, signal)).rejects.toMatchObject({
    code: 'E_CONFIG',
    message: expect.stringMatching(/"card" of public\.t, which is called "card_no" now/),
    fix: expect.stringContaining('card_no'),
  });
  // Dropping it is no harm.
  await database.query('ALTER TABLE t DROP COLUMN card_no; INSERT INTO t VALUES (2)');
  expect(
    (await catalog.relation((await wal.relations()).get('t') as RelationMessage, signal)).columns,
  ).toHaveLength(1);
});

test('names that do not exist are an error that names them', async () => {
  await using database = await createTestDatabase({ setup: 'CREATE TABLE orders (id int PRIMARY KEY)' });
  await using catalog = catalogOf(database, rulesFor('public.orders', 'public.order', 'shop.*'));
  await expect(catalog.tables(signal)).rejects.toMatchObject({
    code: 'E_TABLE_MISSING',
    message: expect.stringContaining('public.order (tailrace.yaml:2:1) does not exist'),
    fix: expect.stringContaining('public.orders'),
  });
});

test('estimates: as analysed, of partitions together, -1 for never', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE never (id int PRIMARY KEY); CREATE TABLE once (id int PRIMARY KEY); INSERT INTO once SELECT generate_series(1, 500); ANALYZE once;
      CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE p1 PARTITION OF parted FOR VALUES FROM (0) TO (100); CREATE TABLE p2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
      INSERT INTO parted SELECT generate_series(0, 149); ANALYZE p1; ANALYZE p2`,
  });
  await using catalog = catalogOf(database);
  const estimates = (await catalog.tables(signal)).map(({ definition, estimatedRows }) => [
    definition.table,
    estimatedRows,
  ]);
  expect(Object.fromEntries(estimates)).toEqual({ never: -1, once: 500, parted: 150 });
});

test('more tables than are read at once, and partitions that are none', async () => {
  await using database = await createTestDatabase({
    setup: `DO $$ BEGIN FOR i IN 1..1001 LOOP EXECUTE format('CREATE TABLE t%s ()', i); END LOOP; END $$;
      CREATE TABLE parted (id int) PARTITION BY RANGE (id);
      DO $$ BEGIN FOR i IN 1..20 LOOP EXECUTE format('CREATE TABLE p%s PARTITION OF parted FOR VALUES FROM (%s) TO (%s)', i, i, i + 1); END LOOP; END $$`,
  });
  await using catalog = catalogOf(database);
  expect(await catalog.tables(signal)).toHaveLength(1002);
});
