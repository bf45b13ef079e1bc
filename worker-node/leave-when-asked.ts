import { Socket } from 'node:net';

/** The reason of a signal that SIGTERM has aborted. */
export const TERMINATED = 'SIGTERM';

/** Aborted by Ctrl-C, by SIGTERM, by the end of the terminal, and when whoever holds the leash is gone. A second Ctrl-C ends at once. */
export function shutdownSignal(): AbortSignal {
  const leaving = new AbortController();
  if (process.env.GRADCAST_LEASH === 'stdin') {
    // These reach the whole terminal; whoever holds the leash needs this worker to finish the step.
    for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
    process.stdin.resume().once('close', () => leaving.abort());
    // The leash alone must not keep a worker alive that has nothing left to do.
    if (process.stdin instanceof Socket) process.stdin.unref();
  } else {
    process.on('SIGINT', () => {
      if (leaving.signal.aborted) process.exit(130);
      leaving.abort();
    });
    process.on('SIGHUP', () => leaving.abort());
  }
  process.on('SIGTERM', () => leaving.abort(TERMINATED));
  return leaving.signal;
}
