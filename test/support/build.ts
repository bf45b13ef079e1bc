import { ensureBuilt } from '../../scripts/build.js';
import { makeTemporary } from '../../scripts/temporary.js';
import { clearUserSettings } from './environment.ts';
import { killProcessesWith } from './leftover-processes.ts';

/** The beginning of all names that gradcast and its tests give; vitest, Node and browsers have files there, too. */
const OURS = 'gradcast-';

/**
 * Vitest's global setup: tests that start processes start what a person would. What tests and their processes write to
 * the temporary folder lies in one of the run, in which none of them may be left at the end, and no process may be left.
 */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  clearUserSettings(process.env);
  await ensureBuilt();
  // Each project of a run calls this; the first one sees to it.
  if (process.env.GRADCAST_TESTS_TMPDIR !== undefined) return undefined;
  const { folder, remove } = makeTemporary('gradcast-tests-');
  process.env.TMPDIR = process.env.GRADCAST_TESTS_TMPDIR = folder;
  return async () => {
    const processes = await killProcessesWith('GRADCAST_TESTS_TMPDIR', folder);
    const files = remove().filter((name) => name.startsWith(OURS));
    for (const left of [...processes, ...files]) console.error(`Left behind by a test: ${left}`);
    if (processes.length + files.length > 0) process.exitCode = 1;
  };
}
