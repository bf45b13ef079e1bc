import { expect, onTestFinished, test } from 'vitest';
import { spawnProgram } from './worker-process.ts';

test('a process that is left at the end of a test is ended then', () => {
  // Handlers run in reverse order: this one after the process' own.
  onTestFinished(async () => expect(await left.ended).toBe('SIGKILL'));
  const left = spawnProgram([process.execPath, '-e', 'setInterval(() => {}, 1e6)'], process.env);
});
