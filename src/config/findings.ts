import { TailraceError } from '../errors/tailrace-error.ts';

/** One thing wrong with the configuration file, and where. Lines and columns count from 1. */
export interface ConfigFinding {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `tables.public.orders.to[0].sink`; empty for the document itself. */
  readonly path: string;
  readonly message: string;
}

/** `tailrace.yaml:14:9 tables.public.orders.to[0].sink: unknown sink "serach", did you mean "search"?` */
export function formatFinding(finding: ConfigFinding): string {
  const where = `${finding.file}:${finding.line}:${finding.column}`;
  return finding.path === '' ? `${where} ${finding.message}` : `${where} ${finding.path}: ${finding.message}`;
}

/** All findings at once: mending one at a time is tedious. */
export class ConfigError extends TailraceError {
  readonly findings: readonly ConfigFinding[];

  constructor(findings: readonly ConfigFinding[]) {
    const ordered = [...findings].sort((a, b) => a.line - b.line || a.column - b.column);
    const count = ordered.length === 1 ? 'One thing is' : `${ordered.length} things are`;
    super({
      code: 'E_CONFIG',
      message: `${count} wrong with the configuration:\n${ordered.map((finding) => `  ${formatFinding(finding)}`).join('\n')}`,
    });
    this.findings = ordered;
  }
}

/** Keys and indices as people write them. A key with dots in it, such as a table's name, keeps its quotes off: tables read well without. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? String(step) : `.${String(step)}`;
  }
  return text;
}
