import { readSamples } from '../../shared/data/dataset.ts';
import { describe, expect, test } from 'vitest';
import { FLOAT32_LINK } from '../../coordinator/links/codecs.ts';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import type { StoredDataset } from '../../shared/data/dataset.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import { usesBatchNormalization } from '../../shared/model/topology.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { FaultyLink } from '../support/faulty-links.ts';
import { guidedOptimizer } from '../support/guided-optimizer.ts';
import {
  jobBatches,
  kerasRuns,
  prepareRun,
  settingsOf,
  stepsDataset,
  type KerasRun,
} from '../support/keras-runs.ts';
import { needsData } from '../support/run-data.ts';
import { testCoordinator, waitForWorkersReady } from '../support/test-coordinator.ts';
import { attachWorker, type LocalWorker } from '../support/training-run.ts';
import { relativeDifference } from '../support/vectors.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const STEPS = 5;
/** Steps in which a worker is killed. */
const KILLS = [1, 2, 3];
const MICRO_SHARD = 32;
const KINDS = ['mlp', 'convnet', 'separable', 'bidirectional gru', 'vit', 'group norm'];

const reference = kerasRuns();
const runs = [
  ...reference.kinds.filter(({ name, keras }) => keras === 3 && KINDS.includes(name)),
  ...reference.tasks,
];

interface Result {
  readonly gradient: Float32Array;
  readonly lossSum: number;
}

interface Workers {
  readonly count: number;
  /** Whether workers are killed while they compute a shard. */
  readonly kills: boolean;
}

/** A worker that can be killed while it computes. */
interface Victim {
  readonly worker: LocalWorker;
  /** Cuts the worker's connection at its next shard. @returns a promise of that moment */
  killAtNextShard(): Promise<void>;
}

function attachVictim(url: string, name: string, engine: Engine): Victim {
  const link = new FaultyLink(randomStream(1, Purpose.syntheticDigits));
  let atShard: (() => void) | null = null;
  const watched: Engine = {
    ...engine,
    async load(job) {
      const computer = await engine.load(job);
      return {
        ...computer,
        gradient(...shard) {
          atShard?.();
          return computer.gradient(...shard);
        },
      };
    },
  };
  const worker = attachWorker(url, name, watched, link.connect);
  return {
    worker,
    killAtNextShard: () =>
      new Promise((resolve) => {
        atShard = () => {
          atShard = null;
          link.kill();
          worker.leave();
          resolve();
        };
      }),
  };
}

/** Trains the first steps of a run, with the gradients of `expected` if there are any, so that all begin from equal weights. */
async function train(
  run: KerasRun,
  dataset: StoredDataset,
  { count, kills }: Workers,
  expected: readonly Result[] | null,
): Promise<Result[]> {
  // Batch normalization depends on the samples that are computed together. In an exact run these are the micro-shards.
  const microShard = usesBatchNormalization(run.topology) ? MICRO_SHARD : undefined;
  const { initialWeights } = await prepareRun(dataset, run, reference.seed);
  const settings = { ...settingsOf(run, reference.seed), microShard, codecs: FLOAT32_LINK };
  const coordinator = await testCoordinator(dataset, settings);
  const { job, stepRunner, url } = coordinator;
  const engine = await wasmEngine();
  const victims = Array.from({ length: count }, (_, i) => attachVictim(url, `w${i}`, engine));
  await waitForWorkersReady(coordinator, count);
  const own = createOptimizer(job.optimizer, layoutOf(job.layout));
  own.weights.set(initialWeights);
  const results: Result[] = [];
  const optimizer = guidedOptimizer(own, () => expected?.[results.length]?.gradient ?? null);
  const killed: Promise<void>[] = [];
  for (const samples of jobBatches(job, dataset.train.count)) {
    const step = results.length;
    if (step === STEPS) break;
    if (kills && KILLS.includes(step)) {
      killed.push(victims[step]!.killAtNextShard());
      victims.push(attachVictim(url, `later-${step}`, engine));
    }
    const { lossSum, gradientSum } = await stepRunner.run({
      step: step as Step,
      batch: readSamples(dataset.train, samples),
      optimizer,
    });
    results.push({ lossSum, gradient: gradientSum.slice() });
  }
  await Promise.all(killed);
  await coordinator.close('done');
  for (const { worker } of victims) worker.leave();
  await Promise.all(victims.map(({ worker }) => worker.ended));
  return results;
}

describe('the gradient of each step does not depend on the workers', () => {
  for (const run of runs) {
    test(run.name, needsData(run.data), async () => {
      const dataset = await stepsDataset(reference, run);
      const alone = await train(run, dataset, { count: 1, kills: false }, null);
      let largest = 0;
      // In the first step all five workers are whole.
      for (const workers of [
        { count: 2, kills: false },
        { count: 5, kills: true },
      ]) {
        const results = await train(run, dataset, workers, alone);
        results.forEach(({ gradient, lossSum }, step) => {
          const label = `${workers.count} workers, kills ${workers.kills}, step ${step}`;
          const { gradient: expected, lossSum: expectedLoss } = alone[step]!;
          const difference = relativeDifference(gradient, expected);
          expect(difference, label).toBeLessThan(1e-5);
          largest = Math.max(largest, difference);
          expect(Math.abs(lossSum / expectedLoss - 1), label).toBeLessThan(1e-5);
        });
      }
      console.log(`  ${run.name}: largest difference, relative to the norm: ${largest.toExponential(1)}`);
    });
  }
});
