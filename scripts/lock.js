import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const TOUCH_MS = 1_000;
const LOOK_EVERY_MS = 200;
/** So many looks at a lock that nobody has touched between them: whoever had it was killed. Some ten seconds. */
const STALE_LOOKS = 50;

/**
 * Does the work while no other process has the lock. It needs no package: none may be installed yet.
 * @param file the lock
 * @param onWaiting called once, if another process has it
 */
export async function withLock(file, onWaiting, work, lookEveryMs = LOOK_EVERY_MS) {
  const own = randomUUID();
  await acquire(file, own, onWaiting, lookEveryMs);
  const touch = setInterval(() => touched(file), TOUCH_MS);
  try {
    return await work();
  } finally {
    clearInterval(touch);
    // Whoever took it over after this process had slept keeps it.
    if (look(file)?.owner === own) rmSync(file, { force: true });
  }
}

async function acquire(file, own, onWaiting, lookEveryMs) {
  let last = null;
  let unchanged = 0;
  for (let said = false; ; said = true) {
    try {
      writeFileSync(file, own, { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (!said) onWaiting();
    const seen = look(file);
    unchanged =
      seen !== null && seen.owner === last?.owner && seen.mtimeMs === last.mtimeMs ? unchanged + 1 : 0;
    last = seen;
    if (unchanged >= STALE_LOOKS) rmSync(file, { force: true });
    else await sleep(lookEveryMs);
  }
}

function look(file) {
  try {
    return { owner: readFileSync(file, 'utf8'), mtimeMs: statSync(file).mtimeMs };
  } catch {
    return null;
  }
}

function touched(file) {
  try {
    utimesSync(file, new Date(), new Date());
  } catch {
    // Taken over, and given back already.
  }
}
