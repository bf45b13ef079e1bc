import { once } from 'node:events';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startThreadAhead } from '../../../worker-node/thread/start-thread.ts';
import { writeFakeThread, writeThread } from '../../support/fake-thread.ts';

const run = promisify(execFile);
const HOOKS = new URL('../../../scripts/typescript-hooks.js', import.meta.url).href;
const START_THREAD = new URL('../../../worker-node/thread/start-thread.ts', import.meta.url).href;

test('a thread that was started ahead is taken once, and for its own program only', async () => {
  const file = await writeFakeThread('');
  const other = await writeFakeThread('');
  const start = startThreadAhead(file);
  const threads = [start(other), start(file), start(file)];
  expect(new Set(threads).size).toBe(3);
  // Ids count the threads of a process, so the thread that was started first has the lowest.
  const ids = threads.map(({ threadId }) => threadId);
  expect(ids.indexOf(Math.min(...ids))).toBe(1);
  await Promise.all(threads.map((thread) => thread.terminate()));
});

test('a thread that has ended before it was taken is started again', async () => {
  const file = await writeThread("throw new Error('The device is broken.');");
  const start = startThreadAhead(file);
  // Another one, started later, has failed: so has that one, most likely.
  await once(startThreadAhead(file)(file), 'error');
  const thread = start(file);
  const [error] = (await once(thread, 'error')) as [Error];
  expect(error.message).toBe('The device is broken.');
});

test('a thread that is never taken keeps no process alive', async () => {
  const file = await writeFakeThread('setInterval(() => undefined, 1_000);');
  const script = `import { register } from 'node:module';
    register(${JSON.stringify(HOOKS)}, import.meta.url);
    const { startThreadAhead } = await import(${JSON.stringify(START_THREAD)});
    startThreadAhead(${JSON.stringify(file)});`;
  const { stderr } = await run(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 30_000,
  });
  expect(stderr).toBe('');
});
