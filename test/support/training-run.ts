import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import type { ResumePoint } from '../../coordinator/training/progress.ts';
import { train } from '../../coordinator/training/train.ts';
import type { StepReport } from '../../coordinator/report/reporter.ts';
import type { EpochTotals, Position } from '../../coordinator/run/checkpoint.ts';
import { systemClock, type Clock } from '../../shared/util/clock.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import type { Connect } from '../../shared/protocol/transport.ts';
import { runWorker } from '../../shared/worker/connection-loop.ts';
import type { SampleStoreOptions } from '../../shared/worker/sample-store.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import type { TestCoordinator } from './test-coordinator.ts';
import { fixedRandom } from './property.ts';

/** Result of a run. */
export interface RunResult {
  readonly weights: Float32Array;
  readonly history: readonly EpochRecord[];
  /** Number of samples of each step. */
  readonly samples: readonly number[];
}

export interface RunOptions {
  readonly beforeStep?: (step: number) => void;
  /** Called after each step with the number of completed steps. True ends the run. */
  readonly shouldStop?: (steps: number) => boolean;
  readonly start?: ResumePoint;
  readonly onEpoch?: () => void;
  readonly onStep?: (report: StepReport) => void;
  readonly checkpoint?: (position: Position, tally: EpochTotals, weights: Float32Array) => void;
  /** @default the platform's clock */
  readonly clock?: Clock;
}

/** Trains the job of a coordinator to its end on the connected workers. */
export async function trainToEnd(
  { job, stepRunner, pool, initialWeights }: TestCoordinator,
  dataset: Dataset,
  {
    beforeStep,
    shouldStop,
    onEpoch,
    onStep,
    start: resumeFrom,
    checkpoint,
    clock = systemClock(globalThis),
  }: RunOptions = {},
): Promise<RunResult> {
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { weights } = optimizer;
  weights.set(initialWeights);
  const history: EpochRecord[] = [];
  const samples: number[] = [];
  const stop = new AbortController();
  let step = resumeFrom?.position.steps ?? 0;
  beforeStep?.(step);
  await train({
    job,
    dataset,
    stepRunner,
    pool,
    optimizer,
    report: {
      epochStarted: () => undefined,
      stepFinished: (report) => {
        onStep?.(report);
        samples.push(report.batch.samples);
        step++;
        beforeStep?.(step);
        if (shouldStop?.(step) === true) stop.abort();
      },
      epochFinished: () => undefined,
    },
    clock,
    signal: stop.signal,
    save(record) {
      history.push(record);
      onEpoch?.();
      return Promise.resolve();
    },
    ...(resumeFrom === undefined ? {} : { resumeFrom }),
    checkpoint: (_, position, tally) => Promise.resolve(checkpoint?.(position, tally, weights)),
  });
  return { weights, history, samples };
}

/**
 * Trains the job of a coordinator and reports to its observers.
 * @param restMs pause after each step, which leaves the processor to a browser in which a test clicks
 */
export async function trainObserved(
  { job, stepRunner, pool, feed, initialWeights }: TestCoordinator,
  dataset: Dataset,
  signal: AbortSignal = new AbortController().signal,
  restMs = 0,
): Promise<void> {
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  optimizer.weights.set(initialWeights);
  await train({
    job,
    dataset,
    pool,
    signal,
    stepRunner: {
      evaluate: (...evaluation) => stepRunner.evaluate(...evaluation),
      async run(...step) {
        const result = await stepRunner.run(...step);
        await new Promise((resolve) => setTimeout(resolve, restMs));
        return result;
      },
    },
    optimizer,
    report: feed,
    clock: systemClock(globalThis),
    save: () => Promise.resolve(),
  });
}

/** A record without the values that depend on time and workers. */
export const withoutTimings = (record: EpochRecord): EpochRecord => ({
  ...record,
  seconds: 0,
  samples_per_second: 0,
  workers: 0,
});

/** A real worker in this process. */
export interface LocalWorker {
  readonly name: string;
  /** Reason why the worker ended. */
  readonly ended: Promise<string>;
  readonly notes: readonly string[];
  /** Disconnects with a goodbye. */
  leave(): void;
}

export function attachWorker(
  url: string,
  name: string,
  engine: Engine,
  connect: Connect = connectWebSocket,
  clock: Clock = systemClock(globalThis),
  sampleStore?: SampleStoreOptions,
): LocalWorker {
  const leaving = new AbortController();
  const notes: string[] = [];
  const ended = runWorker({
    url,
    name,
    engine,
    connect,
    clock,
    random: fixedRandom(),
    report: {
      joined: () => undefined,
      computed: () => undefined,
      waiting: (line) => notes.push(line),
      note: (line) => notes.push(line),
    },
    signal: leaving.signal,
    ...(sampleStore === undefined ? {} : { sampleStore }),
  }).catch(errorMessage);
  return { name, ended, notes, leave: () => leaving.abort() };
}
