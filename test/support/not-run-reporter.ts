import type { SerializedError } from 'vitest';
import type { Reporter, TestModule, Vitest } from 'vitest/node';
import { appendCounts, type TestCounts } from '../../scripts/test-counts.js';

/** A test as far as this report goes. */
export interface RanTest {
  readonly state: 'passed' | 'failed' | 'skipped' | 'pending';
  readonly tags: readonly string[];
}

/** What a test with a tag needs, and the command that brings it. */
const NEEDS: Readonly<Record<string, string>> = {
  native: 'native TensorFlow (node bin/gradcast.js engine install)',
  browser: 'a browser (node scripts/get-browser.js)',
  mnist: 'MNIST (MNIST_DIR=a folder with its four files)',
};

/** Passed, failed and skipped tests. One that never ended counts as failed. */
export function countTests(tests: readonly RanTest[]): TestCounts {
  const passed = tests.filter(({ state }) => state === 'passed').length;
  const skipped = tests.filter(({ state }) => state === 'skipped').length;
  return { passed, skipped, failed: tests.length - passed - skipped };
}

/** The line on tests that did not run and how to have them run, or null if all ran. */
export function notRunLine(tests: readonly RanTest[]): string | null {
  const skipped = tests.filter(({ state }) => state === 'skipped');
  const parts: string[] = [];
  const add = (count: number, one: string, several: string): void => {
    if (count > 0) parts.push(count === 1 ? `1 test ${one}` : `${count} tests ${several}`);
  };
  for (const [tag, needs] of Object.entries(NEEDS)) {
    // A test that needs two things is counted once, with the first.
    const first = skipped.filter(
      ({ tags }) => Object.keys(NEEDS).find((each) => tags.includes(each)) === tag,
    );
    add(first.length, `that needs ${needs}`, `that need ${needs}`);
  }
  const untagged = skipped.filter(({ tags }) => !Object.keys(NEEDS).some((tag) => tags.includes(tag)));
  add(untagged.length, 'that this system cannot run', 'that this system cannot run');
  return parts.length === 0 ? null : `Not run: ${parts.join(', ')}.`;
}

/** Vitest's reporter for both. */
export class NotRunReporter implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) =>
      [...module.children.allTests()].map((test) => ({ state: test.result().state, tags: test.tags })),
    );
    const line = notRunLine(tests);
    // A pattern of names skips whatever it does not match.
    const isWhole = this.#vitest?.config.testNamePattern === undefined;
    if (line !== null && isWhole) console.log(`${line}\n`);
    const file = process.env.GRADCAST_TEST_COUNTS;
    if (!file) return;
    const counts = countTests(tests);
    const broken = modules.filter((module) => module.errors().length > 0).length + unhandledErrors.length;
    appendCounts(file, { ...counts, failed: counts.failed + broken });
  }
}
