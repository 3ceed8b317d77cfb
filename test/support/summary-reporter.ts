import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, SerializedError, TestModule, TestSpecification, Vitest } from 'vitest/node';
import { leftOutFiles } from './run-sequence.ts';
import type { Servers } from './servers.ts';

/**
 * The last lines of a run: which suites were left out and how to get them, then `N passed, N failed`.
 * With TAILRACE_TEST_SUMMARY=file the two numbers are also written there as JSON.
 */
export class SummaryReporter implements Reporter {
  #vitest: Vitest | undefined;
  #files: readonly string[] = [];

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunStart(specifications: readonly TestSpecification[]): void {
    this.#files = specifications.map(({ moduleId }) => moduleId);
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      passed += tests.filter((test) => test.result().state === 'passed').length;
      const failedTests = tests.filter((test) => test.result().state === 'failed').length;
      // A file that does not load, or a hook that throws, fails without a failed test.
      failed += failedTests === 0 && !module.ok() ? 1 : failedTests;
    }
    const servers: Servers = this.#vitest?.getRootProject().getProvidedContext().servers ?? {};
    const lines = [...this.#leftOut(servers), `${passed} passed, ${failed} failed`];
    process.stdout.write(`${lines.join('\n')}\n`);
    const file = process.env['TAILRACE_TEST_SUMMARY'];
    if (file) writeFileSync(file, JSON.stringify({ passed, failed }));
  }

  #leftOut(servers: Servers): readonly string[] {
    const leftOut = leftOutFiles(this.#files, servers);
    return Object.entries(servers).flatMap(([name, server]) => {
      if (server.state !== 'left-out') return [];
      const files = [...leftOut].filter(([, needs]) => needs === name).map(([file]) => relative('', file));
      return [
        `LEFT OUT, ${name} cannot be had: ${server.reason}`,
        ...files.map((file) => `  ${file}`),
        `  To run them: ${server.remedy}.`,
      ];
    });
  }
}
