import { ensureBuilt } from '../../scripts/build.js';
import { makeTemporary } from '../../scripts/temporary.js';
import { clearUserSettings } from './environment.ts';
import { killProcessesWith } from './leftover-processes.ts';

/** Prefix of all temporary files of gradcast and its tests. Vitest, Node and browsers write other files. */
const OWN_PREFIX = 'gradcast-';
/** Folders for milliseconds, which a process leaves that a test kills just then; a later process removes them. Their tests check the rest. */
const GRAPH_PREFIX = 'gradcast-graph-';

/**
 * Vitest's global setup: builds the program, so that tests can start it as a user would. All temporary files of the run
 * go to one folder. The run fails if a test leaves a file of gradcast in it, or leaves a process running.
 */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  clearUserSettings(process.env);
  await ensureBuilt();
  // Vitest calls this for each project of a run; the first call does the work.
  if (process.env.GRADCAST_TESTS_TMPDIR !== undefined) return undefined;
  const { folder, remove } = makeTemporary('gradcast-tests-');
  process.env.TMPDIR = process.env.GRADCAST_TESTS_TMPDIR = folder;
  return async () => {
    const processes = await killProcessesWith('GRADCAST_TESTS_TMPDIR', folder);
    const files = remove().filter((name) => name.startsWith(OWN_PREFIX) && !name.startsWith(GRAPH_PREFIX));
    for (const left of [...processes, ...files]) console.error(`Left behind by a test: ${left}`);
    if (processes.length + files.length > 0) process.exitCode = 1;
  };
}
