import { readSamples } from '../../shared/data/dataset.ts';
import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { PROTOCOL_VERSION, type Step } from '../../shared/protocol/messages.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { frameFromWorker } from '../../shared/protocol/frame.ts';
import { stubEngine } from './stub-engine.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkersReady,
  type TestCoordinator,
} from './test-coordinator.ts';
import { attachWorker, type LocalWorker } from './training-run.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 16 });
const batch = Uint32Array.from({ length: 64 }, (_, i) => i);
const fuzzClientFile = fileURLToPath(new URL('fuzz-client.js', import.meta.url));

/** A coordinator with three honest workers, each of which takes one millisecond per sample. */
export interface HonestRun {
  readonly coordinator: TestCoordinator;
  /** Median time of this many steps, or of all steps until the promise settles. */
  measureSteps(until: number | Promise<unknown>): Promise<number>;
  close(): Promise<void>;
}

export async function startHonestRun(): Promise<HonestRun> {
  const coordinator = await testCoordinator(dataset, { topology: tinyTopology([28, 28, 1], 10) });
  const honest: LocalWorker[] = ['ann', 'bob', 'cyd'].map((name) =>
    attachWorker(coordinator.url, name, stubEngine({ perSampleMs: 1, tamper: (value) => value })),
  );
  await waitForWorkersReady(coordinator, 3);
  let step = 0;
  return {
    coordinator,
    async measureSteps(until) {
      const times: number[] = [];
      const state = { isOver: false };
      if (typeof until !== 'number') void until.then(() => (state.isOver = true));
      while (typeof until === 'number' ? times.length < until : !state.isOver) {
        const startedMs = performance.now();
        const optimizer = fixedWeights(coordinator.initialWeights);
        const input = { step: step++ as Step, batch: readSamples(dataset.train, batch), optimizer };
        await coordinator.stepRunner.run(input);
        times.push(performance.now() - startedMs);
      }
      return times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0;
    },
    async close() {
      await coordinator.close('done');
      await Promise.all(honest.map(({ ended }) => ended));
    },
  };
}

/** Valid frames of workers and observers, the hello first. */
function realFrames({ job, initialWeights }: TestCoordinator): Uint8Array[] {
  const gradient = new Uint8Array(initialWeights.length * 4);
  const engine = { backend: 'none', version: '1', device: 'test', threads: 1 };
  const shard = { step: 1, shard: 1 };
  const result = { samples: Math.ceil(job.batchSize / 3), lossSum: 1, metrics: [1], computeMs: 1 };
  const message = (values: object, payload?: Uint8Array): Uint8Array =>
    frameFromWorker(values as Parameters<typeof frameFromWorker>[0], payload);
  return [
    message({
      type: 'hello',
      protocol: PROTOCOL_VERSION,
      name: 'stranger',
      engine,
      codecs: ['float32'],
      prefetch: true,
    }),
    message({ type: 'ready' }),
    message({ type: 'watch', protocol: PROTOCOL_VERSION }),
    message({ type: 'snapshot' }),
    message({ type: 'inspect' }),
    message({ type: 'gradient', ...shard, offset: 0, result }, gradient),
    message({ type: 'gradient', step: 1, shard: 2, offset: 4 }, gradient),
    message({ type: 'evaluation', ...shard, result }),
    message({ type: 'failed', step: 1, shard: 1, reason: 'x'.repeat(2000) }),
    message({ type: 'pong', id: 1 }),
  ];
}

/** Sends hostile frames from a process of its own, at most 4,000 a second. @returns the number of sent frames */
export function runFuzzClient(coordinator: TestCoordinator, seed: number, frames: number): Promise<number> {
  const child = spawn(
    process.execPath,
    [fuzzClientFile, coordinator.url, String(seed), String(frames), '4000'],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  child.stdin.end(
    realFrames(coordinator)
      .map((frame) => Buffer.from(frame).toString('base64'))
      .join('\n'),
  );
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  return new Promise((resolve) => child.once('close', () => resolve(Number(output))));
}

/** Opens connections that send nothing or half of a request. @returns a function that cuts them */
export async function openIdleConnections({ port }: TestCoordinator, count: number): Promise<() => void> {
  const halves = [
    '',
    'GET / HT',
    'GET / HTTP/1.1\r\nHost: x\r\nA: ',
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  ];
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(port, '127.0.0.1', () => socket.write(halves[i % halves.length] ?? ''));
    socket.on('error', () => undefined);
    sockets.push(socket);
    if (i % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return () => sockets.forEach((socket) => socket.destroy());
}
