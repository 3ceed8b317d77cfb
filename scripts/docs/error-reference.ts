import { ERROR_CODES } from '../../src/errors/codes.ts';

const EXITS: readonly {
  readonly exit: number;
  readonly title: string;
  readonly about: string;
}[] = [
  { exit: 1, title: 'A defect', about: 'Of Tailrace, or a replication stream it cannot decode.' },
  { exit: 2, title: 'Usage and configuration', about: 'Nothing was started.' },
  {
    exit: 3,
    title: 'The database',
    about:
      'It refuses, or cannot be reached or trusted. `tailrace check` ends with 3 when it has found any error.',
  },
  {
    exit: 4,
    title: 'A gap or a lost history',
    about: 'Going on would lose changes without a word: an operator decides.',
  },
  { exit: 5, title: 'A sink', about: 'It refuses what it is given or configured to do.' },
  { exit: 6, title: 'Another instance', about: 'Another process is at work in this place.' },
  { exit: 7, title: 'The local disk', about: 'Event log or state.' },
  {
    exit: 8,
    title: 'Stopped early',
    about: 'By a second signal, or `shutdown_timeout` was too short. Nothing is lost.',
  },
];

export function renderErrorReference(): string {
  const sections = EXITS.map(({ exit, title, about }) => {
    const codes = Object.entries(ERROR_CODES).filter(([, code]) => code.exit === exit);
    return `## Exit code ${exit}: ${title.toLowerCase()}

${about}

| code | meaning |
|---|---|
${codes.map(([code, { about: meaning }]) => `| \`${code}\` | ${meaning} |`).join('\n')}`;
  });
  return `# Errors and exit codes

<!-- Written by npm run docs from src/errors/codes.ts. -->

Every error reads \`[CODE] what happened and where\`, then its causes, then a \`fix:\` with the SQL, YAML or command that mends it.
The same codes are in the log (\`code\`), in \`/status\` and in \`/readyz\`. Codes are stable; messages may improve.
[What to do about them](operations.md#when-it-stops).

A process ends with the exit code of the error that ended it, and with 0 when everything that was read is delivered and confirmed.

${sections.join('\n\n')}
`;
}
