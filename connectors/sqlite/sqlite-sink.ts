import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import type {
  Mapping,
  Rejection,
  Sink,
  SinkBatch,
  SinkContext,
  WriteResult,
} from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { ByteWriter } from '../../src/events/byte-writer.ts';
import { compileDestinationTemplate } from '../../src/events/formats/templates.ts';
import {
  type Checkpoint,
  restoreCheckpoint,
  type StoredCheckpoint,
  storeCheckpoint,
} from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';
import { identityOf } from '../../src/pipeline/source-identity.ts';
import type { SqliteConfig, SqliteMapping } from './config.ts';
import { defineMirror } from './define-mirror.ts';
import { MirrorClient } from './mirror-client.ts';
import type { SchemaNote } from './mirror-writer.ts';
import { packBatch, type SqliteRoute } from './pack-batch.ts';
import { foldCase } from './sql.ts';

/** A buffer that one large batch has blown up is not kept for the next. */
const KEPT_BUFFER_BYTES = 16 * 1024 * 1024;

/** Keeps mirror tables and its own position in one SQLite file, a batch per transaction, in a worker thread. */
export class SqliteSink implements Sink<SqliteRoute> {
  readonly #config: SqliteConfig;
  readonly #context: SinkContext;
  readonly #path: string;
  readonly #writer = ownedWriter();
  /** Which mapping and table a mirror belongs to, by its name as SQLite compares it. */
  readonly #owners = new Map<string, { readonly mapping: Mapping; readonly relation: Relation }>();
  #client: MirrorClient | undefined;
  #mirrors = 0;
  #position: Checkpoint | undefined;

  constructor(config: SqliteConfig, context: SinkContext) {
    this.#config = config;
    this.#context = context;
    this.#path = resolve(context.baseDir, config.path);
  }

  async open(): Promise<Checkpoint | undefined> {
    const { pipeline, name, source } = this.#context;
    this.#client ??= new MirrorClient();
    const { checkpoint } = await this.#client.ask(
      {
        kind: 'open',
        options: {
          path: this.#path,
          busyTimeoutMs: this.#config.busy_timeout,
          owner: { pipeline, sink: name },
          database: identityOf(source).database,
          session: randomUUID(),
        },
      },
      'opened',
    );
    this.#position = checkpoint === undefined ? undefined : this.#restore(checkpoint);
    return this.#position;
  }

  async prepare(mapping: Mapping, relation: Relation): Promise<SqliteRoute> {
    const given = mapping as Mapping<SqliteMapping>;
    const name = compileDestinationTemplate(given.options.table, this.#context)(relation);
    const { table, sources } = defineMirror(given, relation, name);
    this.#claim(name, given, relation);
    const mirror = this.#mirrors++;
    await this.#opened().ask({ kind: 'define', mirror, table }, 'done');
    return {
      destination: name,
      parts: ({ op }) => (op === 'message' ? 0 : 1),
      mirror,
      columns: sources,
      key: table.key.map((i) => sources[i] as number),
      wholeImages: table.wholeImages,
    };
  }

  async write(batch: SinkBatch<SqliteRoute>): Promise<WriteResult> {
    const out = this.#writer;
    out.reset();
    const rejected: readonly Rejection[] = packBatch(batch, out);
    if (rejected.length > 0) return { accepted: this.#position, rejected };
    const answer = await this.#opened().ask(
      {
        kind: 'write',
        buffer: out.buffer.buffer as ArrayBuffer,
        byteLength: out.length,
        to: storeCheckpoint(batch.to),
      },
      'written',
      ({ buffer }) => this.#takeBack(buffer),
    );
    this.#takeBack(answer.buffer);
    for (const note of answer.notes) this.#tell(note);
    if (answer.rejected.length > 0) return { accepted: this.#position, rejected: answer.rejected };
    this.#position = batch.to;
    return { accepted: batch.to, durable: batch.to, rejected: [] };
  }

  async flush(): Promise<Checkpoint | undefined> {
    return this.#position;
  }

  async close(): Promise<void> {
    await this.#client?.close();
    this.#client = undefined;
  }

  /** Two tables, or two mappings of one, must not share a mirror: each would shape it its own way. */
  #claim(name: string, mapping: Mapping, relation: Relation): void {
    const folded = foldCase(name);
    const owner = this.#owners.get(folded);
    if (owner !== undefined && (owner.mapping !== mapping || owner.relation.oid !== relation.oid)) {
      const sameTable = owner.relation.schema === relation.schema && owner.relation.table === relation.table;
      // The same name under a new oid is a table dropped and made again.
      if (owner.mapping !== mapping || !sameTable) {
        const { schema, table } = owner.relation;
        throw new TailraceError({
          code: 'E_SINK_CONFIG',
          message:
            `${mapping.where}: ${mapping.id}: table ${name} would mirror ${relation.schema}.${relation.table} and, ` +
            `by ${owner.mapping.where}, ${schema}.${table}.`,
          fix: 'Tell them apart in the mapping: `table: "{schema}_{table}"`.',
        });
      }
    }
    this.#owners.set(folded, { mapping, relation });
  }

  #restore(checkpoint: StoredCheckpoint): Checkpoint {
    try {
      return restoreCheckpoint(checkpoint);
    } catch (cause) {
      throw new TailraceError({
        code: 'E_STATE',
        message: `The position of sink ${this.#context.name} in ${this.#path} cannot be read (_tailrace_positions).`,
        fix: 'Restore the file from a copy, or move it away: the sink then begins anew with the oldest change in the event log.',
        cause,
      });
    }
  }

  #opened(): MirrorClient {
    if (this.#client === undefined) throw new Error('The sink is not open.');
    return this.#client;
  }

  #takeBack(buffer: ArrayBuffer | undefined): void {
    const keep = buffer !== undefined && buffer.byteLength <= KEPT_BUFFER_BYTES;
    this.#writer.buffer = keep ? Buffer.from(buffer) : ownedWriter().buffer;
  }

  #tell({ mirror, source, what }: SchemaNote): void {
    this.#context.logger.info({ sink: this.#context.name, mirror, source }, `mirror ${mirror} ${what}`);
  }
}

/** Its bytes are handed to another thread: they must not be a slice of Buffer's shared pool. */
function ownedWriter(): ByteWriter {
  const writer = new ByteWriter(0);
  writer.buffer = Buffer.from(new ArrayBuffer(64 * 1024));
  return writer;
}
