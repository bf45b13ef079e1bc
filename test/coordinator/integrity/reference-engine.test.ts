import { expect, it } from 'vitest';
import { ReferenceEngine } from '../../../coordinator/integrity/reference-engine.ts';
import type { Shard } from '../../../shared/data/shard.ts';
import type { GradientComputer } from '../../../shared/engine/engine.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';

const shard: Shard = {
  sampleNumbers: Uint32Array.of(0),
  images: new Uint8Array(4),
  labels: Uint8Array.of(0),
};

/** An engine in another thread: it fills the gradient with its weights' first value some time after it was asked. */
class SlowTrainer implements GradientComputer {
  readonly finish: (() => void)[] = [];
  #weights = new Float32Array(0);

  setWeights(weights: Float32Array): void {
    this.#weights = weights as Float32Array<ArrayBuffer>;
  }

  async gradient(_: Step, __: Shard, gradient: Float32Array): Promise<{ lossSum: number; correct: number }> {
    await new Promise<void>((resolve) => this.finish.push(resolve));
    gradient.fill(this.#weights[0]!);
    return { lossSum: 0, correct: 0 };
  }

  prepare = (): void => undefined;
  evaluate = (): Promise<{ lossSum: number; correct: number }> =>
    Promise.resolve({ lossSum: this.#weights[0]!, correct: 0 });
  predict = (): Promise<Float32Array> => Promise.resolve(new Float32Array(0));
  dispose = (): void => undefined;
}

it('recomputes one shard after the other, each with its own weights and into its own gradient', async () => {
  const trainer = new SlowTrainer();
  const info = { backend: 'wasm', version: '1', device: 'cpu', threads: 1 };
  const referee = new ReferenceEngine(exampleJob, () =>
    Promise.resolve({
      engine: { info, load: () => Promise.resolve(trainer) },
      close: () => Promise.resolve(),
    }),
  );
  const first = referee.gradient(0 as Step, Float32Array.of(1), shard);
  const second = referee.gradient(1 as Step, Float32Array.of(2), shard);
  const score = referee.evaluate(Float32Array.of(3), shard);
  await expect.poll(() => trainer.finish.length).toBe(1);
  trainer.finish[0]!();
  await expect.poll(() => trainer.finish.length).toBe(2);
  trainer.finish[1]!();

  expect((await first).gradient[0]).toBe(1);
  expect((await second).gradient[0]).toBe(2);
  expect((await score).lossSum).toBe(3);
});
