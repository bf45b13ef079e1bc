import { expect, test } from 'vitest';
import { spawnGradcast } from '../support/worker-process.ts';

test('a token behind the address is an error that says where it belongs', async () => {
  const worker = spawnGradcast(['worker', 'ws://127.0.0.1:1/#s3cret']);
  expect(await worker.ended).toBe(1);
  expect(worker.output()).toMatch(/ends in #s3cret.*--token/);
});
