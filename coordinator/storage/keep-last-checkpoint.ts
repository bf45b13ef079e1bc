import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CHECKPOINT_FILE, checkpointName } from './checkpoint.ts';

/**
 * Removes the earlier checkpoints of a run that is finished: the last one is all that training it longer needs. Where that
 * one is missing, since the disk was full, the earlier ones stay.
 * @param steps of the whole run
 */
export async function removeEarlierCheckpoints(dir: string, steps: number): Promise<void> {
  const last = checkpointName(steps);
  const files = await readdir(dir).catch((): string[] => []);
  if (!files.includes(last)) return;
  const earlier = files.filter((file) => CHECKPOINT_FILE.test(file) && file < last);
  // What cannot be removed costs space, but no run.
  await Promise.allSettled(earlier.map((file) => rm(join(dir, file), { force: true })));
}
