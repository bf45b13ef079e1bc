import type { SerializedError } from 'vitest';
import type { Reporter, TestModule, Vitest } from 'vitest/node';
import { appendCounts, type TestCounts } from '../../scripts/test-counts.js';

/** Parts of a test that this report uses. */
export interface RanTest {
  readonly state: 'passed' | 'failed' | 'skipped' | 'pending';
  readonly tags: readonly string[];
}

/** Tag -> requirement of tests with this tag, and how to install it. */
const NEEDS: Readonly<Record<string, string>> = {
  native: 'native TensorFlow (node bin/gradcast.js engine install)',
  browser: 'a browser (node scripts/get-browser.js)',
  webgpu: 'WebGPU (node scripts/get-browser.js, then node bin/gradcast.js engine install --webgpu)',
  slurm: 'Slurm (node scripts/get-programs.js slurm)',
  shells: 'zsh and fish (node scripts/get-programs.js shells)',
  containers: 'a builder of images (node scripts/get-programs.js containers, as root on Debian or Ubuntu)',
  mnist: 'MNIST (MNIST_DIR=a folder with its four files)',
  fashion: 'Fashion-MNIST (FASHION_MNIST_DIR=a folder with its four files)',
};

/** Counts passed, failed and skipped tests. A test that never ended counts as failed. */
export function countTests(tests: readonly RanTest[]): TestCounts {
  const passed = tests.filter(({ state }) => state === 'passed').length;
  const skipped = tests.filter(({ state }) => state === 'skipped').length;
  return { passed, skipped, failed: tests.length - passed - skipped };
}

/** Line that counts the tests that did not run and says how to run them, or null if all ran. */
export function notRunLine(tests: readonly RanTest[]): string | null {
  const skipped = tests.filter(({ state }) => state === 'skipped');
  const parts: string[] = [];
  const add = (count: number, one: string, several: string): void => {
    if (count > 0) parts.push(count === 1 ? `1 test ${one}` : `${count} tests ${several}`);
  };
  for (const [tag, needs] of Object.entries(NEEDS)) {
    // A test with two requirements counts once, for the first.
    const first = skipped.filter(
      ({ tags }) => Object.keys(NEEDS).find((each) => tags.includes(each)) === tag,
    );
    add(first.length, `that needs ${needs}`, `that need ${needs}`);
  }
  const untagged = skipped.filter(({ tags }) => !Object.keys(NEEDS).some((tag) => tags.includes(tag)));
  add(untagged.length, 'that this system cannot run', 'that this system cannot run');
  return parts.length === 0 ? null : `Not run: ${parts.join(', ')}.`;
}

/** Vitest reporter that prints the line and appends the counts to the file of GRADCAST_TEST_COUNTS. */
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
    // A name pattern skips all tests that it does not match.
    const isWhole = this.#vitest?.config.testNamePattern === undefined;
    if (line !== null && isWhole) console.log(`${line}\n`);
    const file = process.env.GRADCAST_TEST_COUNTS;
    if (!file) return;
    const counts = countTests(tests);
    const broken = modules.filter((module) => module.errors().length > 0).length + unhandledErrors.length;
    appendCounts(file, { ...counts, failed: counts.failed + broken });
  }
}
