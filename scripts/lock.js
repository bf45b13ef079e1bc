import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Interval at which a holder updates its lock. */
const UPDATE_INTERVAL_MS = 1_000;
const POLL_INTERVAL_MS = 200;
/** A lock is stale after so many polls without an update: its holder was killed. Some ten seconds. */
const POLLS_UNTIL_STALE = 50;

/**
 * Does the work while no other process holds the lock. Uses no package, since none may be installed yet. See
 * docs/decisions/0040-three-locks.md.
 * @param file path of the lock
 * @param onWaiting called once if another process holds the lock
 */
export async function withLock(file, onWaiting, work, pollMs = POLL_INTERVAL_MS) {
  const id = randomUUID();
  await acquire(file, id, onWaiting, pollMs);
  const timer = setInterval(() => update(file), UPDATE_INTERVAL_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    // Another process may have taken over the lock while this one was frozen.
    if (readHolder(file)?.id === id) rmSync(file, { force: true });
  }
}

async function acquire(file, id, onWaiting, pollMs) {
  let previous = null;
  let unchangedPolls = 0;
  for (let isWaiting = false; ; isWaiting = true) {
    try {
      writeFileSync(file, id, { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (!isWaiting) onWaiting();
    const holder = readHolder(file);
    const isUnchanged = holder !== null && holder.id === previous?.id && holder.mtimeMs === previous.mtimeMs;
    unchangedPolls = isUnchanged ? unchangedPolls + 1 : 0;
    previous = holder;
    if (unchangedPolls >= POLLS_UNTIL_STALE) rmSync(file, { force: true });
    else await sleep(pollMs);
  }
}

function readHolder(file) {
  try {
    return { id: readFileSync(file, 'utf8'), mtimeMs: statSync(file).mtimeMs };
  } catch {
    return null;
  }
}

function update(file) {
  try {
    utimesSync(file, new Date(), new Date());
  } catch {
    // Another process has taken over the lock and released it.
  }
}
