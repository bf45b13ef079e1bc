import { StepRunner } from '../../../coordinator/training/step.ts';
import { viewShard } from '../../../shared/data/shard.ts';
import type { Hello, ShardMessage } from '../../../shared/protocol/messages.ts';
import { exampleJob, exampleHello, step } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool, type Client } from '../pool/pool-harness.ts';
import { fixedWeights } from '../../../coordinator/optimizer/fixed-weights.ts';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';
import { imageSplit, readSamples } from '../../../shared/data/dataset.ts';

/** Simulated worker, whose settings may be changed while it computes. */
export interface SimulatedWorker {
  readonly client: Client;
  readonly id: string;
  fixedMs: number;
  perSampleMs: number;
  /** Gradient that the worker answers with. @default the true gradient */
  gradient: (trueGradient: readonly number[], samples: number) => readonly number[];
  /** The worker hangs: it sends finished answers only after it is unfrozen. */
  frozen: boolean;
  /** Shards that the worker was assigned, including duplicates. */
  readonly shards: ShardMessage[];
}

type Setting = Partial<Pick<SimulatedWorker, 'fixedMs' | 'perSampleMs' | 'gradient'>> & {
  readonly device?: string;
  readonly hello?: Partial<Hello>;
};

/**
 * Runs steps over 128 samples with a real pool, a manual clock and workers with the times that the test sets. The gradient of a
 * sample depends on the sample and on the step, so that a sum shows whether each sample counted once.
 */
export function simulation(samples = 128) {
  const harness = testPool({ rules: { maxWorkers: 100 } });
  const { pool, clock } = harness;
  const split = imageSplit({
    images: new Uint8Array(2 * samples),
    labels: new Uint8Array(samples),
    count: samples,
  });
  const stop = new AbortController();
  const runner = new StepRunner({
    pool,
    clock,
    job: exampleJob,
    mode: standardMode([0]),
    signal: stop.signal,
    onWaiting: () => undefined,
  });
  const workers: SimulatedWorker[] = [];
  let steps = 0;

  const join = async (name: string, setting: Setting = {}): Promise<SimulatedWorker> => {
    const client = harness.connect();
    const { device = 'same', hello, ...speed } = setting;
    await client.hello({
      name,
      engine: { ...exampleHello.engine, device },
      prefetch: true,
      ...hello,
    });
    const worker: SimulatedWorker = {
      client,
      fixedMs: 0,
      perSampleMs: 1,
      gradient: (values) => values,
      frozen: false,
      shards: [],
      id: client.messages('welcome')[0]!.workerId,
      ...speed,
    };
    workers.push(worker);
    let idleAtMs = 0;
    client.onShard = () => {
      const { message, payload } = client.received.at(-1)! as { message: ShardMessage; payload: Uint8Array };
      worker.shards.push(message);
      const prefetch = client.received.findLast(({ message: { type } }) => type === 'prefetch');
      const bytes = payload.length > 0 ? payload : prefetch!.payload;
      const { sampleNumbers } = viewShard(Uint8Array.from(bytes), message.samples, exampleJob);
      const gradient = trueGradient(message.step, sampleNumbers);
      const durationMs = worker.fixedMs + worker.perSampleMs * message.samples;
      idleAtMs = Math.max(clock.now(), idleAtMs) + durationMs;
      const reply = (): void => {
        if (worker.frozen) {
          clock.after(10, reply);
          return;
        }
        const { shard, step: at } = message;
        const values = worker.gradient(gradient, message.samples);
        void client.answer({ shard, step: at, samples: message.samples, lossSum: message.samples }, values);
      };
      clock.after(idleAtMs - clock.now(), reply);
    };
    await client.say({ type: 'ready' });
    return worker;
  };

  /** @returns the step's duration in milliseconds */
  const runStep = async (): Promise<number> => {
    const numbers = Uint32Array.from({ length: samples }, (_, i) => (i * 7 + steps) % samples);
    const input = {
      step: step(steps),
      batch: readSamples(split, numbers),
      optimizer: fixedWeights(new Float32Array(6)),
    };
    const startedMs = clock.now();
    const ended: { atMs?: number; sum?: Float32Array } = {};
    void runner
      .run(
        input,
        readSamples(
          split,
          numbers.map((n) => (n + 1) % samples),
        ),
      )
      .then((result) => {
        ended.atMs = clock.now();
        ended.sum = result.gradientSum.slice();
      });
    await settle();
    while (ended.atMs === undefined) await clock.advance(1);
    steps++;
    sums.push([...ended.sum!]);
    return ended.atMs - startedMs;
  };
  const sums: number[][] = [];

  return {
    ...harness,
    workers,
    sums,
    join,
    runStep,
    run: async (count: number): Promise<number[]> => {
      const times: number[] = [];
      for (let i = 0; i < count; i++) times.push(await runStep());
      return times;
    },
    /** @returns the evaluation's duration in milliseconds */
    evaluate: async (): Promise<number> => {
      const startedMs = clock.now();
      const ended: { atMs?: number } = {};
      const input = { step: step(steps), weights: new Float32Array(6), split: largeSplit };
      void runner.evaluate(input).then(() => (ended.atMs = clock.now()));
      await settle();
      while (ended.atMs === undefined) await clock.advance(1);
      return ended.atMs - startedMs;
    },
    /** True sum over the whole batch in a step. */
    trueSum: (at: number) =>
      trueGradient(
        at,
        Uint32Array.from({ length: samples }, (_, i) => i),
      ),
    sizesOf: ({ shards }: SimulatedWorker, count: number) => shards.slice(-count).map(({ samples: n }) => n),
  };
}

const largeSplit = imageSplit({
  images: new Uint8Array(20_000),
  labels: new Uint8Array(10_000),
  count: 10_000,
});

/** Sum of the samples' gradients; integers, so that sums are exact in any order. */
function trueGradient(at: number, sampleNumbers: Uint32Array): number[] {
  const sum = Array<number>(6).fill(0);
  for (const number of sampleNumbers) {
    for (let i = 0; i < 6; i++) sum[i] = sum[i]! + (((number + 1) * (3 * at + i + 5)) % 41) - 15;
  }
  return sum;
}

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
