import pc from 'picocolors';
import { number } from './screen.ts';
import { isClean, isEqual, type Verdict } from './verdict.ts';

export interface Report {
  readonly verdicts: readonly Verdict[];
  readonly sourceRows: ReadonlyMap<string, number>;
  readonly transactions: number;
  readonly rolledBack: number;
  readonly kills: number;
  /** How Tailrace ended after SIGTERM. */
  readonly exit: string;
  readonly searches: readonly Search[];
  /** Files of the run, kept when something is wrong. */
  readonly dir: string;
  readonly full: boolean;
}

/** A search and its hits, a line each. */
export interface Search {
  readonly about: string;
  readonly hits: readonly string[];
}

const DRAINED = 'exit code 0';

export function isSuccess(report: Report): boolean {
  return report.exit === DRAINED && report.verdicts.every(isClean);
}

export function renderReport(report: Report): readonly string[] {
  return ['', ...comparison(report), '', ...streams(report), ...searches(report), ...verdict(report)];
}

function comparison({ verdicts, sourceRows }: Report): string[] {
  const cell = (text: string): string => text.padStart(14);
  const header = verdicts.map(({ title }) => cell(title)).join('');
  const rows = [...sourceRows].map(([table, count]) => {
    const cells = verdicts.map(({ differences }) => {
      const difference = differences.get(table);
      return difference !== undefined && isEqual(difference)
        ? pc.green(cell('equal'))
        : pc.red(cell('DIFFERENT'));
    });
    return `  ${table.padEnd(12)}${number(count).padStart(9)}${cells.join('')}`;
  });
  return [pc.dim(`  ${'table'.padEnd(12)}${'rows'.padStart(9)}${header}`), ...rows, ...differences(verdicts)];
}

function differences(verdicts: readonly Verdict[]): string[] {
  return verdicts.flatMap(({ title, differences: found }) =>
    [...found]
      .filter(([, difference]) => !isEqual(difference))
      .map(([table, { missing, surplus, different }]) =>
        pc.red(`  ${title}, ${table}: ${missing} missing, ${surplus} surplus, ${different} different`),
      ),
  );
}

function streams({ verdicts }: Report): string[] {
  return verdicts.flatMap(({ title, stream }) => {
    if (stream === undefined) return [];
    const flaws = `${stream.repeated} repeated, ${stream.contradictions} that contradict what was before`;
    const clean = stream.repeated + stream.contradictions === 0;
    return [
      `  ${title}: ${number(stream.events)} events, ${clean ? 'each once, in the order of its row' : pc.red(flaws)}`,
    ];
  });
}

function searches({ searches: done }: Report): string[] {
  return done.flatMap(({ about, hits }) => ['', `  ${about}`, ...hits.map((hit) => `    ${hit}`)]);
}

function verdict(report: Report): string[] {
  const { transactions, rolledBack, kills, exit, dir, full, verdicts } = report;
  const after = `${number(transactions)} transactions (${number(rolledBack)} more were rolled back)${kills === 0 ? '' : ` and ${kills === 1 ? 'one SIGKILL' : `${kills} SIGKILLs`}`}`;
  if (!isSuccess(report)) {
    return [
      '',
      pc.red(`  Not what it should be, after ${after}.`),
      ...(exit === DRAINED ? [] : [pc.red(`  Tailrace ended with ${exit} when asked to stop.`)]),
      pc.red(`  Its log: ${dir}/tailrace.log`),
      '',
    ];
  }
  return [
    '',
    pc.green(`  ✓ Equal, row by row: PostgreSQL, ${verdicts.map(({ title }) => title).join(', ')},`),
    pc.green(`    after ${after}.`),
    '',
    ...(full ? NEXT.slice(1) : NEXT).map(([command, about]) => `  ${command.padEnd(40)} ${pc.dim(about)}`),
    '',
  ];
}

const NEXT: readonly (readonly [command: string, about: string])[] = [
  ['npm run demo -- --full', 'adds Kafka and Elasticsearch'],
  ['npm run -s tailrace -- sql -c FILE', 'the grants your database needs'],
  ['npm run -s tailrace -- check -c FILE', 'looks at everything'],
  ['npm run -s tailrace -- run -c FILE', 'examples/ holds files'],
];
