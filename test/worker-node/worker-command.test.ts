import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { ASKED_TO_LEAVE } from '../../worker-node/processes.ts';
import { gradcast, spawnGradcast } from '../support/worker-process.ts';

test('a token behind the address is an error that says where it belongs', async () => {
  const worker = spawnGradcast(['worker', 'ws://127.0.0.1:1/#s3cret']);
  expect(await worker.ended).toBe(1);
  expect(worker.output()).toMatch(/ends in #s3cret.*--token/);
});

test.each<[string, (child: ReturnType<typeof sibling>) => void, number]>([
  ['asked by anybody', (child) => void child.kill('SIGTERM'), ASKED_TO_LEAVE],
  ['let go by whoever started it', (child) => void child.stdin.end(), 0],
])('one of several workers says how it was ended: %s', async (_, end, expected) => {
  const child = sibling();
  const code = new Promise((resolve) => child.once('close', resolve));
  await new Promise((resolve) => child.stderr.once('data', resolve));
  end(child);
  expect(await code).toBe(expected);
});

/** One of several workers, with nobody to connect to: it says so when it is at it. */
function sibling() {
  const options = ['worker', 'ws://127.0.0.1:1', '--workers', '1', '--engine', 'wasm', '--quiet'];
  return spawn(process.execPath, [gradcast, ...options], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { ...process.env, GRADCAST_SIBLING: '1', GRADCAST_LEASH: 'stdin' },
  });
}
