import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import { ConfigError, type ConfigFinding, formatPath } from './findings.ts';

/** More than anybody writes by hand; a file of this size is not a configuration. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Bounds what aliases may expand to ("billion laughs"). */
const MAX_ALIASES = 100;

/** Which end of a path an error is about: the key itself (unknown, misspelt) or its value. */
export type Target = 'key' | 'value';

/** A YAML file that knows where everything in it stands. */
export class YamlDocument {
  readonly file: string;
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;

  private constructor(file: string, document: Document.Parsed, lines: LineCounter) {
    this.file = file;
    this.#document = document;
    this.#lines = lines;
  }

  /** Throws ConfigError for anything that is not one well-formed YAML 1.2 document (duplicate keys, tabs, several documents, ...). */
  static parse(file: string, text: string): YamlDocument {
    if (Buffer.byteLength(text) > MAX_BYTES) {
      throw new ConfigError([
        { file, line: 1, column: 1, path: '', message: 'larger than 4 MiB: not a configuration' },
      ]);
    }
    const lines = new LineCounter();
    const document = parseDocument(text, {
      lineCounter: lines,
      version: '1.2',
      uniqueKeys: true,
      prettyErrors: false,
    });
    const problems = [...document.errors, ...document.warnings].map((problem): ConfigFinding => {
      const { line, col } = lines.linePos(problem.pos[0]);
      return { file, line, column: col, path: '', message: problem.message };
    });
    if (problems.length > 0) throw new ConfigError(problems);
    const parsed = new YamlDocument(file, document, lines);
    if (!isMap(document.contents)) {
      throw new ConfigError([
        parsed.finding([], 'value', 'expected keys such as pipeline, source, sinks and tables'),
      ]);
    }
    return parsed;
  }

  /** Plain objects, arrays and scalars. */
  toJS(): unknown {
    try {
      return this.#document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      throw new ConfigError([this.finding([], 'value', (error as Error).message)]);
    }
  }

  /** Replaces scalar text in place; `replace` is told under which key of the document's top it stands. */
  mapStrings(replace: (text: string, section: string, fail: (message: string) => void) => string): void {
    const findings: ConfigFinding[] = [];
    visit(this.#document, {
      Scalar: (_key, node, ancestors) => {
        if (typeof node.value !== 'string') return;
        const section = String(ancestors.find(isPair)?.key);
        node.value = replace(node.value, section, (message) =>
          findings.push(this.#findingAt(node, [], message)),
        );
      },
    });
    if (findings.length > 0) throw new ConfigError(findings);
  }

  finding(path: readonly PropertyKey[], target: Target, message: string): ConfigFinding {
    return this.#findingAt(this.#nodeAt(path, target), path, message);
  }

  /** `file:line:column` of a path. */
  where(path: readonly PropertyKey[]): string {
    const { file, line, column } = this.finding(path, 'key', '');
    return `${file}:${line}:${column}`;
  }

  #findingAt(node: Node | undefined, path: readonly PropertyKey[], message: string): ConfigFinding {
    const { line, col } = this.#lines.linePos(node?.range?.[0] ?? 0);
    return {
      file: this.file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      path: formatPath(path),
      message,
    };
  }

  /** The node of a path, or of its nearest ancestor that is there. */
  #nodeAt(path: readonly PropertyKey[], target: Target): Node | undefined {
    let node: Node | undefined = this.#document.contents ?? undefined;
    for (const [depth, step] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document);
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
        if (pair === undefined) return node;
        const last = depth === path.length - 1;
        const value = pair.value as Node | null;
        node = ((last && target === 'key') || value === null ? pair.key : value) as Node;
      } else if (node !== undefined && 'items' in node && typeof step === 'number') {
        node = (node.items as Node[])[step] ?? node;
      } else {
        return node;
      }
    }
    return node;
  }
}
