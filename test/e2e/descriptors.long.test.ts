import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gradcast, waitForOutput, spawnProgram } from '../support/worker-process.ts';
import { makeRuns, type Runs } from './runs.ts';

// Windows has no limit of descriptors.
const canLimit = process.platform !== 'win32';
/** Enough descriptors to load all modules in parallel, and far fewer than connections. */
const DESCRIPTORS = 160;

let runs: Runs;
beforeAll(async () => {
  runs = await makeRuns();
});
afterAll(() => runs.remove());

test.runIf(canLimit)(
  'a coordinator survives more connections than it has descriptors, and finishes its run',
  async () => {
    const out = join(runs.scratch, 'few');
    const coordinator = spawnProgram(
      [
        ...(['sh', '-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'sh', process.execPath, gradcast] as const),
        ...['coordinator', '--port', '0', '--data', runs.data, '--out', out, '--epochs', '1'],
        ...['--token', 's3cret'],
      ],
      { ...process.env, MNIST_DIR: undefined, GRADCAST_TOKEN: undefined },
    );
    await waitForOutput(coordinator, /http:\/\/127\.0\.0\.1:\d+/);
    const url = /http:\/\/127\.0\.0\.1:(\d+)/.exec(coordinator.output()) ?? [];
    const port = Number(url[1]);
    const sockets: Socket[] = [];
    const attack = async (): Promise<void> => {
      for (let i = 0; i < 300; i++) {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => undefined);
        sockets.push(socket);
        // A third of the clients are idle, a third request one file, a third many files. No client reads answers.
        socket.write('GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n'.repeat([0, 1, 50][i % 3] ?? 0));
        await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
      }
    };
    await attack();
    const worker = runs.gradcast(
      ...['worker', url[0] ?? '', '--workers', '1', '--engine', 'wasm', '--token', 's3cret'],
    );
    await waitForOutput(coordinator, /joined/);
    await attack();
    expect(await coordinator.ended, coordinator.output()).toBe(0);
    expect(await runs.history('few')).toHaveLength(1);
    expect(await worker.ended, worker.output()).toBe(0);
    for (const socket of sockets) socket.destroy();
  },
  180_000,
);
