import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { NotRunReporter } from './test/support/not-run-reporter.ts';

/** Files of test/soak/ in full size, which measure time and memory: one by one, however long they take. */
const soak = process.env.GRADCAST_SOAK === '1';
const LONG = 'test/**/*.long.test.ts';

/** Quick tests are in FILE.test.ts, and those that take many seconds each in FILE.long.test.ts beside it. */
export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    // A busy machine takes its time; what never happens fails all the same.
    expect: { poll: { timeout: 30_000 } },
    // Of a gradient's 600,000 values, a difference of all would take longer than any run.
    diff: { truncateThreshold: 200 },
    pool: 'forks',
    // Many tests start processes of their own, with some hundred megabytes each.
    maxWorkers: soak ? 1 : Math.min(8, availableParallelism()),
    reporters: ['default', new NotRunReporter()],
    tags: [
      { name: 'native', description: 'needs native TensorFlow' },
      { name: 'browser', description: 'needs a browser' },
      { name: 'webgpu', description: 'needs WebGPU in Node' },
      { name: 'slurm', description: 'needs Slurm' },
      { name: 'shells', description: 'needs zsh and fish' },
      { name: 'containers', description: 'needs a builder of images' },
      { name: 'mnist', description: 'needs the files of MNIST' },
      { name: 'fashion', description: 'needs the files of Fashion-MNIST' },
    ],
    projects: [
      {
        extends: true,
        test: {
          name: 'quick',
          include: ['test/**/*.test.ts'],
          exclude: [LONG],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: { name: 'long', include: [LONG], testTimeout: soak ? 0 : 600_000, hookTimeout: 600_000 },
      },
    ],
  },
});
