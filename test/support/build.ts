import { ensureBuilt } from '../../scripts/build.js';
import { makeTemporary } from '../../scripts/temporary.js';
import { forgetPersonalSettings } from './environment.ts';
import { endProcessesWith } from './left-processes.ts';

/** Vitest's own folder, named by nanoid, which it removes itself. */
const OF_VITEST = /^[\w-]{21}$/;

/**
 * Vitest's global setup: tests that start processes start what a person would. What tests and their processes write to
 * the temporary folder lies in one of the run, which must be empty at the end, and no process may be left.
 */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  forgetPersonalSettings(process.env);
  await ensureBuilt();
  // Each project of a run calls this; the first one sees to it.
  if (process.env.GRADCAST_TESTS_TMPDIR !== undefined) return undefined;
  const { folder, remove } = makeTemporary('gradcast-tests-');
  process.env.TMPDIR = process.env.GRADCAST_TESTS_TMPDIR = folder;
  return async () => {
    const processes = await endProcessesWith('GRADCAST_TESTS_TMPDIR', folder);
    const files = remove().filter((name) => !OF_VITEST.test(name));
    for (const left of [...processes, ...files]) console.error(`Left behind by a test: ${left}`);
    if (processes.length + files.length > 0) process.exitCode = 1;
  };
}
