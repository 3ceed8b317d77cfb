import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { RunSequence } from './test/support/run-sequence.ts';
import { SummaryReporter } from './test/support/summary-reporter.ts';

const serverSuffixes = ['pg', 'kafka', 'es', 'fault', 'long'];

/** The servers live beside the workers: more than two at once only wait for each other on two cores. */
const maxWorkers = 2;

interface Project {
  readonly name: string;
  readonly include: readonly string[];
  readonly exclude?: readonly string[] | undefined;
  readonly testTimeoutMs: number;
  /** One file at a time, after all others: tests that kill and time things. */
  readonly alone?: boolean | undefined;
}

function project({
  name,
  include,
  exclude = [],
  testTimeoutMs,
  alone,
}: Project): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include: [...include],
      exclude: ['**/node_modules/**', ...exclude],
      pool: 'forks',
      // kafkajs 2.2.4 asks for timers in the past (its issue 1751); Node runs them at once, as it should.
      execArgv: ['--disable-warning=TimeoutNegativeWarning'],
      testTimeout: testTimeoutMs,
      hookTimeout: 60_000,
      maxWorkers: alone === true ? 1 : maxWorkers,
      sequence: { groupOrder: alone === true ? 1 : 0 },
    },
  };
}

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', new SummaryReporter()],
    sequence: { sequencer: RunSequence },
    teardownTimeout: 60_000,
    projects: [
      project({
        name: 'unit',
        include: ['test/**/*.test.ts'],
        exclude: serverSuffixes.map((suffix) => `**/*.${suffix}.test.ts`),
        testTimeoutMs: 15_000,
      }),
      project({ name: 'postgres', include: ['test/**/*.pg.test.ts'], testTimeoutMs: 30_000 }),
      project({ name: 'kafka', include: ['test/**/*.kafka.test.ts'], testTimeoutMs: 60_000 }),
      project({ name: 'elasticsearch', include: ['test/**/*.es.test.ts'], testTimeoutMs: 60_000 }),
      project({
        name: 'fault',
        include: ['test/fault/**/*.fault.test.ts'],
        testTimeoutMs: 180_000,
        alone: true,
      }),
      project({ name: 'long', include: ['test/**/*.long.test.ts'], testTimeoutMs: 1_200_000, alone: true }),
    ],
  },
});
