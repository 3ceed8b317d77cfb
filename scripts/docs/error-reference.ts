import { ERROR_CODES } from '../../src/errors/codes.ts';

const EXITS: readonly (readonly [number, string])[] = [
  [0, 'Done: everything that was read is delivered and confirmed.'],
  [1, 'A defect of Tailrace, or a replication stream it cannot decode.'],
  [2, 'The command line or the configuration is not valid.'],
  [3, 'The database refuses, or cannot be reached or trusted.'],
  [4, 'A gap or a lost history: an operator decides.'],
  [5, 'A sink refuses.'],
  [6, 'Another process or instance is at work.'],
  [7, 'The local disk: event log or state.'],
  [8, 'Stopped before everything was drained; nothing is lost.'],
];

export function renderErrorReference(): string {
  const codes = Object.entries(ERROR_CODES).map(
    ([code, { exit, about }]) => `| \`${code}\` | ${exit} | ${about} |`,
  );
  return `# Errors and exit codes

<!-- Written by npm run docs from src/errors/codes.ts. -->

Every error reads \`[CODE] what happened and where\`, the causes below it, and a \`fix:\` block with the SQL, YAML or command that mends it.
Codes are stable; messages may improve.

| exit code | meaning |
|---|---|
${EXITS.map(([exit, meaning]) => `| ${exit} | ${meaning} |`).join('\n')}

| error code | exit code | meaning |
|---|---|---|
${codes.join('\n')}
`;
}
