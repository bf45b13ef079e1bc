import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const TOUCH_MS = 1_000;
const POLL_INTERVAL_MS = 200;
/** Polls without a change of the lock after which its process counts as killed: about ten seconds. */
const MAX_UNCHANGED_POLLS = 50;

/**
 * Does the work while this process holds the lock. This file imports no package, since none may be installed yet.
 * @param file the lock
 * @param onWaiting called once if another process holds the lock
 */
export async function withLock(file, onWaiting, work, pollIntervalMs = POLL_INTERVAL_MS) {
  const own = randomUUID();
  await acquire(file, own, onWaiting, pollIntervalMs);
  const timer = setInterval(() => touch(file), TOUCH_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    // Another process may have taken the lock over while this one was suspended.
    if (readLock(file)?.owner === own) rmSync(file, { force: true });
  }
}

async function acquire(file, own, onWaiting, pollIntervalMs) {
  let last = null;
  let unchanged = 0;
  for (let isFirst = true; ; isFirst = false) {
    try {
      writeFileSync(file, own, { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isFirst) onWaiting();
    const seen = readLock(file);
    unchanged =
      seen !== null && seen.owner === last?.owner && seen.mtimeMs === last.mtimeMs ? unchanged + 1 : 0;
    last = seen;
    if (unchanged >= MAX_UNCHANGED_POLLS) rmSync(file, { force: true });
    else await sleep(pollIntervalMs);
  }
}

function readLock(file) {
  try {
    return { owner: readFileSync(file, 'utf8'), mtimeMs: statSync(file).mtimeMs };
  } catch {
    return null;
  }
}

function touch(file) {
  try {
    utimesSync(file, new Date(), new Date());
  } catch {
    // Another process has taken the lock over and released it.
  }
}
