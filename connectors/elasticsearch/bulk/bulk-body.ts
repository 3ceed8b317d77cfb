import { ByteWriter } from '../../../src/events/byte-writer.ts';
import { DELETE, type ElasticsearchRoute, type INDEX, type OperationKind } from '../documents/route.ts';

const NEWLINE = 0x0a;

/** The action lines of a route, but for id and version. */
interface ActionLines {
  readonly index: Buffer;
  readonly delete: Buffer;
}

const linesOf = new WeakMap<ElasticsearchRoute, ActionLines>();

function actionLines(route: ElasticsearchRoute): ActionLines {
  let lines = linesOf.get(route);
  if (lines === undefined) {
    const index = JSON.stringify(route.destination);
    const rest = `{"_index":${index},"version_type":"external","_id":`;
    lines = { index: Buffer.from(`{"index":${rest}`), delete: Buffer.from(`{"delete":${rest}`) };
    linesOf.set(route, lines);
  }
  return lines;
}

export interface Action {
  /** What the outcome is reported under. */
  readonly ref: number;
  readonly kind: typeof INDEX | typeof DELETE;
  readonly route: ElasticsearchRoute;
  readonly id: string;
  readonly version: bigint;
}

/**
 * Body of a bulk request as bytes, with the place of each operation in it, so that some of them can be sent again.
 * https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
 */
export class BulkBody {
  readonly #out: ByteWriter;
  readonly #refs: number[] = [];
  readonly #kinds: OperationKind[] = [];
  readonly #starts: number[] = [];
  /** The version as text, made once for the operations of one transaction. */
  #version = -1n;
  #versionText = '';

  constructor(out: ByteWriter = new ByteWriter()) {
    this.#out = out;
    out.reset();
  }

  get count(): number {
    return this.#refs.length;
  }

  get bytes(): number {
    return this.#out.length;
  }

  /** To write a document into, after `begin` of an index operation. */
  get out(): ByteWriter {
    return this.#out;
  }

  ref(i: number): number {
    return this.#refs[i] as number;
  }

  kind(i: number): OperationKind {
    return this.#kinds[i] as OperationKind;
  }

  /** Writes the action line. */
  begin(action: Action): void {
    const { route, id, version } = action;
    const out = this.#out;
    this.#refs.push(action.ref);
    this.#kinds.push(action.kind);
    this.#starts.push(out.length);
    const lines = actionLines(route);
    out.bytes(action.kind === DELETE ? lines.delete : lines.index);
    // A hashed id begins with a backslash whatever the columns are.
    if (route.plainIds && id.charCodeAt(0) !== 0x5c) {
      out.byte(0x22);
      out.ascii(id);
      out.byte(0x22);
    } else out.utf8(JSON.stringify(id));
    if (version !== this.#version) {
      this.#version = version;
      this.#versionText = `,"version":"${version}"}}\n`;
    }
    out.ascii(this.#versionText);
  }

  /** Ends the document of an index operation. */
  end(): void {
    this.#out.byte(NEWLINE);
  }

  /** Takes back the operation begun last. */
  withdraw(): void {
    this.#out.length = this.#starts.pop() as number;
    this.#refs.pop();
    this.#kinds.pop();
  }

  /** All of it; valid until the next change. */
  view(): Buffer {
    return this.#out.view();
  }

  /** A body of its own with some of the operations. */
  pick(indices: readonly number[]): BulkBody {
    let bytes = 0;
    for (const i of indices) bytes += this.#end(i) - (this.#starts[i] as number);
    const body = new BulkBody(new ByteWriter(Math.max(bytes, 1)));
    for (const i of indices) {
      body.#refs.push(this.ref(i));
      body.#kinds.push(this.kind(i));
      body.#starts.push(body.#out.length);
      body.#out.bytes(this.#out.buffer, this.#starts[i], this.#end(i));
    }
    return body;
  }

  #end(i: number): number {
    return this.#starts[i + 1] ?? this.#out.length;
  }
}
