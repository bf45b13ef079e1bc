import { expect, test } from 'vitest';
import { createOptimizer } from '../../../coordinator/optimizer/optimizer.ts';
import { readSamples } from '../../../shared/data/dataset.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { Engine } from '../../../shared/engine/engine.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import { FaultyLink } from '../../support/faulty-links.ts';
import { testSeed } from '../../support/property.ts';
import { attachRelay, type TestRelay } from '../../support/relay.ts';
import { roundingEngine } from '../../support/rounding-engine.ts';
import { deepTopology, testCoordinator, waitForWorkersReady } from '../../support/test-coordinator.ts';
import { attachWorker, type LocalWorker } from '../../support/training-run.ts';

const BATCH = 120;
const STEPS = 60;
const dataset = syntheticDigits({ seed: 1, trainCount: 1000, testCount: 10 });

/** An engine that has the last layers' gradients some time before the others. */
function earlyEngine(): Engine {
  const inner = roundingEngine();
  return {
    ...inner,
    async load(job) {
      const computer = await inner.load(job);
      return {
        ...computer,
        async gradient(step, shard, gradient, bucket) {
          const result = await computer.gradient(step, shard, gradient);
          bucket?.onReady();
          await new Promise((resolve) => setTimeout(resolve, 3));
          return result;
        },
      };
    },
  };
}

test('with buckets on their way, relays and workers that are cut off change no gradient', async () => {
  const seed = testSeed(1);
  const random = randomStream(seed, Purpose.syntheticDigits);
  const root = await testCoordinator(dataset, { topology: deepTopology, batchSize: BATCH, buckets: true });
  const relays: TestRelay[] = [];
  const slots: { link: FaultyLink; worker: LocalWorker; home: number }[] = [];
  const ended: Promise<unknown>[] = [];
  const openRelay = async (slot: number): Promise<void> => {
    relays[slot] = await attachRelay(root.url, `relay-${ended.length}`, { buckets: true });
    ended.push(relays[slot].ended);
  };
  const openWorker = (slot: number, home: number): void => {
    const link = new FaultyLink(randomStream(seed, Purpose.syntheticDigits, 1, ended.length));
    const { url } = relays[home] as TestRelay;
    const worker = attachWorker(url, `w${ended.length}`, earlyEngine(), link.connect);
    ended.push(worker.ended);
    slots[slot] = { link, worker, home };
  };
  for (let slot = 0; slot < 2; slot++) await openRelay(slot);
  for (let slot = 0; slot < 6; slot++) openWorker(slot, slot % 2);
  await waitForWorkersReady(root, 2);

  const kills = { relay: 0, worker: 0 };
  const killOne = async (): Promise<void> => {
    if (random.below(3) === 0) {
      const home = random.below(2);
      kills.relay++;
      const below = slots.filter((slot) => slot.home === home);
      for (const { link, worker } of below) {
        link.kill();
        worker.leave();
      }
      await relays[home]?.kill();
      await openRelay(home);
      for (const slot of below) openWorker(slots.indexOf(slot), home);
    } else {
      const slot = random.below(slots.length);
      const { link, worker, home } = slots[slot] as (typeof slots)[number];
      kills.worker++;
      link.kill();
      worker.leave();
      openWorker(slot, home);
    }
  };

  const optimizer = createOptimizer(root.job.optimizer, layoutOf(root.job.layout));
  optimizer.weights.set(root.initialWeights);
  const reference = await roundingEngine().load(root.job);
  const own = new Float32Array(optimizer.weights.length);
  for (let step = 0; step < STEPS; step++) {
    const batch = readSamples(
      dataset.train,
      Uint32Array.from({ length: BATCH }, (_, i) => (step * 31 + 7 * i) % dataset.train.count),
    );
    reference.setWeights(optimizer.weights);
    const whole = await reference.gradient(step as Step, batch, own);
    if (step % 3 === 0) await waitForWorkersReady(root, 2);
    const running = root.stepRunner.run({ step: step as Step, batch, optimizer });
    const killing =
      step % 3 === 0
        ? new Promise<void>((resolve) => setTimeout(() => void killOne().then(resolve), random.below(12)))
        : null;
    const { gradientSum, lossSum } = await running;
    expect(lossSum / whole.lossSum).toBeCloseTo(1, 5);
    const errors = own.map((value, i) => Math.abs(gradientSum[i]! - value));
    expect(Math.max(...errors), `step ${step}`).toBeLessThan(1e-5 * Math.max(...own.map(Math.abs)));
    await killing;
  }
  console.log(`  seed ${seed}: ${kills.relay} relays and ${kills.worker} workers cut off`);
  expect(kills.relay).toBeGreaterThan(0);
  await root.close('done');
  for (const each of [...relays, ...slots.map(({ worker }) => worker)]) each.leave();
  for (const { link } of slots) link.kill();
  await Promise.all(ended);
});
