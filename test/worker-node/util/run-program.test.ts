import { expect, test } from 'vitest';
import { runProgram } from '../../../worker-node/util/run-program.ts';

// Windows has no process groups and no signals that a program may ignore.
test.skipIf(process.platform === 'win32')(
  'a program that does not end when it is told to is killed, and so is what it has started',
  async () => {
    const abort = new AbortController();
    const pids: number[] = [];
    const stubborn = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6);";
    const child = `${stubborn} console.log(String(process.pid));`;
    const parent = `${stubborn} console.log(String(process.pid));
      require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' });`;
    const run = runProgram([process.execPath, '-e', parent], {
      signal: abort.signal,
      killAfterMs: 20,
      onLine: (line) => {
        if (pids.push(Number(line)) === 2) abort.abort();
      },
    });
    await expect(run).rejects.toThrow(/aborted/);
    // Both processes hold the pipe open.
    expect(pids).toHaveLength(2);
  },
);
