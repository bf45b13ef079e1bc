import { expect, it } from 'vitest';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';
import { createOptimizer } from '../../../coordinator/optimizer/optimizer.ts';
import { fixedWeights } from '../../../coordinator/optimizer/fixed-weights.ts';
import { StepRunner } from '../../../coordinator/training/step.ts';
import type { ConnectionHandler } from '../../../coordinator/server/websocket.ts';
import { imageSplit, readSamples } from '../../../shared/data/dataset.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { frameFromWorker, parseFromCoordinator } from '../../../shared/protocol/frame.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import type { Connection } from '../../../shared/protocol/transport.ts';
import { exampleHello, exampleJob, step } from '../../shared/protocol/examples.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { settle } from '../../support/manual-clock.ts';
import { deepTopology, testCoordinator, type TestCoordinator } from '../../support/test-coordinator.ts';
import { testPool } from './pool-harness.ts';

const numbersTo = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => i);

it('1,100 workers have places at once, and a step counts the gradient of each', async () => {
  const places = 1_100;
  const mode = standardMode([0]);
  const { pool, connect, clock } = testPool({ mode, rules: { maxWorkers: places } });
  const clients = Array.from({ length: places }, connect);
  for (const client of clients) {
    client.onShard = () => void client.answer();
    client.end.send(frameFromWorker(exampleHello));
  }
  await settle();
  for (const client of clients) client.end.send(frameFromWorker({ type: 'ready' }));
  await settle();
  expect(pool.workers.size).toBe(places);
  expect(new Set([...pool.workers.values()].map(({ name }) => name)).size).toBe(places);

  const late = connect();
  await late.hello({ name: 'late' });
  expect(late.closed).toEqual({ code: CloseCode.noFreeSlot, reason: expect.any(String) as string });

  const split = imageSplit({
    images: new Uint8Array(2 * places),
    labels: new Uint8Array(places),
    count: places,
  });
  const { signal } = new AbortController();
  const runner = new StepRunner({ pool, job: exampleJob, clock, mode, signal, onWaiting: () => undefined });
  const optimizer = fixedWeights(new Float32Array(6));
  const result = await runner.run({ step: step(1), batch: readSamples(split, numbersTo(places)), optimizer });
  expect([...result.gradientSum]).toEqual(Array.from({ length: 6 }, () => places));
  pool.close('done');
});

/** Joins a worker that keeps nothing, and answers each shard at once with new vectors, as from a socket. */
function joinForgetful({ connect }: TestCoordinator, length: number, name: string): void {
  let offsets: readonly number[] = [0];
  const say = (...message: Parameters<typeof frameFromWorker>): void =>
    queueMicrotask(() => handler.onFrame(frameFromWorker(...message).slice()));
  const connection: Connection = {
    addressBlock: name,
    bufferedBytes: 0,
    send(frame) {
      const { message } = parseFromCoordinator(frame);
      if (message.type === 'welcome') {
        offsets = message.bucketOffsets;
        say({ type: 'ready' });
      }
      if (message.type !== 'shard') return;
      const { step, shard, samples } = message;
      for (const [i, offset] of [...offsets.entries()].reverse()) {
        const values = new Uint8Array(4 * ((offsets[i + 1] ?? length) - offset));
        const result = { samples, lossSum: 0, metrics: [0], computeMs: 1 };
        if (offset === 0) say({ type: 'gradient', step, shard, offset, result }, values);
        else say({ type: 'gradient', step, shard, offset }, values);
      }
    },
    close: () => undefined,
    terminate: () => undefined,
  };
  let handler: ConnectionHandler = connect(connection, (accepted) => (handler = accepted));
  say({ ...exampleHello, name });
}

it('a worker takes less than 300 KB at the coordinator between two steps', async () => {
  const workers = 64;
  const dataset = syntheticDigits({ seed: 1, trainCount: 2 * workers, testCount: 10 });
  const coordinator = await testCoordinator(dataset, {
    topology: deepTopology,
    batchSize: 2 * workers,
    maxWorkers: workers,
  });
  const { job, initialWeights, pool, stepRunner } = coordinator;
  const layout = layoutOf(job.layout);
  expect(4 * layout.length).toBeGreaterThan(400_000);
  const optimizer = createOptimizer(job.optimizer, layout);
  optimizer.weights.set(initialWeights);
  const batch = readSamples(dataset.train, numbersTo(2 * workers));
  let taken = 0;
  const train = async (until: number): Promise<number> => {
    for (; taken < until; taken++) await stepRunner.run({ step: taken as Step, batch, optimizer }, batch);
    await settle();
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  joinForgetful(coordinator, layout.length, 'first');
  await settle();
  const before = await train(8);
  for (let i = 1; i < workers; i++) joinForgetful(coordinator, layout.length, `worker ${i}`);
  await settle();
  expect(pool.workers.size).toBe(workers);
  const after = await train(16);
  expect((after - before) / (workers - 1)).toBeLessThan(300_000);
  await coordinator.close('done');
});
