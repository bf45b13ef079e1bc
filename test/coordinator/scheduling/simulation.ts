import { StepRunner } from '../../../coordinator/training/step.ts';
import { viewShard } from '../../../shared/data/shard.ts';
import type { Hello, ShardMessage } from '../../../shared/protocol/messages.ts';
import { exampleJob, exampleHello, step } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool, type Client } from '../pool/pool-harness.ts';
import { fixedWeights } from '../../../coordinator/optimizer/fixed-weights.ts';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';

/** How a simulated worker computes; may be changed while it works. */
export interface SimulatedWorker {
  readonly client: Client;
  readonly id: string;
  fixedMs: number;
  perSampleMs: number;
  /** What it answers in place of the true gradient. */
  gradient: (truth: readonly number[], samples: number) => readonly number[];
  /** It hangs: what would be ready now comes when it goes on. */
  frozen: boolean;
  /** Sizes of the shards that it was given, copies included. */
  readonly shards: ShardMessage[];
}

type Setting = Partial<Pick<SimulatedWorker, 'fixedMs' | 'perSampleMs' | 'gradient'>> & {
  readonly device?: string;
  readonly hello?: Partial<Hello>;
};

/**
 * Steps over 128 samples with a real pool and workers that take as long as the test says, on a clock that is turned by
 * hand. The gradient of a sample depends on it and on the step, so that a sum tells whether each counted once.
 */
export function simulation(samples = 128) {
  const made = testPool({ rules: { maxWorkers: 100 } });
  const { pool, clock } = made;
  const split = { images: new Uint8Array(2 * samples), labels: new Uint8Array(samples), count: samples };
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
    const client = made.connect();
    const { device = 'same', hello, ...pace } = setting;
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
      gradient: (truth) => truth,
      frozen: false,
      shards: [],
      id: client.messages('welcome')[0]!.workerId,
      ...pace,
    };
    workers.push(worker);
    let idleAtMs = 0;
    client.onShard = () => {
      const { message, payload } = client.received.at(-1)! as { message: ShardMessage; payload: Uint8Array };
      worker.shards.push(message);
      const ahead = client.received.findLast(({ message: { type } }) => type === 'prefetch');
      const bytes = payload.length > 0 ? payload : ahead!.payload;
      const { sampleNumbers } = viewShard(Uint8Array.from(bytes), message.samples, [2, 1, 1]);
      const truth = trueGradient(message.step, sampleNumbers);
      const takesMs = worker.fixedMs + worker.perSampleMs * message.samples;
      idleAtMs = Math.max(clock.now(), idleAtMs) + takesMs;
      const reply = (): void => {
        if (worker.frozen) {
          clock.after(10, reply);
          return;
        }
        const { shard, step: at } = message;
        const values = worker.gradient(truth, message.samples);
        void client.answer({ shard, step: at, samples: message.samples, lossSum: message.samples }, values);
      };
      clock.after(idleAtMs - clock.now(), reply);
    };
    await client.say({ type: 'ready' });
    return worker;
  };

  /** @returns how long the step took */
  const runStep = async (): Promise<number> => {
    const numbers = Uint32Array.from({ length: samples }, (_, i) => (i * 7 + steps) % samples);
    const input = {
      step: step(steps),
      samples: numbers,
      split,
      optimizer: fixedWeights(new Float32Array(6)),
    };
    const startedMs = clock.now();
    const ended: { atMs?: number; sum?: Float32Array } = {};
    void runner
      .run(
        input,
        numbers.map((n) => (n + 1) % samples),
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
    ...made,
    workers,
    sums,
    join,
    runStep,
    run: async (count: number): Promise<number[]> => {
      const times: number[] = [];
      for (let i = 0; i < count; i++) times.push(await runStep());
      return times;
    },
    /** @returns how long it took */
    evaluate: async (): Promise<number> => {
      const startedMs = clock.now();
      const ended: { atMs?: number } = {};
      const input = { step: step(steps), weights: new Float32Array(6), split: largeSplit };
      void runner.evaluate(input).then(() => (ended.atMs = clock.now()));
      await settle();
      while (ended.atMs === undefined) await clock.advance(1);
      return ended.atMs - startedMs;
    },
    /** What the sum over the whole batch is, at any step. */
    trueSum: (at: number) =>
      trueGradient(
        at,
        Uint32Array.from({ length: samples }, (_, i) => i),
      ),
    sizesOf: ({ shards }: SimulatedWorker, count: number) => shards.slice(-count).map(({ samples: n }) => n),
  };
}

const largeSplit = { images: new Uint8Array(20_000), labels: new Uint8Array(10_000), count: 10_000 };

/** Integers, so that their sums are exact in any order. */
function trueGradient(at: number, sampleNumbers: Uint32Array): number[] {
  const sum = Array<number>(6).fill(0);
  for (const number of sampleNumbers) {
    for (let i = 0; i < 6; i++) sum[i] = sum[i]! + (((number + 1) * (3 * at + i + 5)) % 41) - 15;
  }
  return sum;
}

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
