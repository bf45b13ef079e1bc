import { expect, it } from 'vitest';
import { ReferenceEngine } from '../../../coordinator/integrity/reference-engine.ts';
import type { Shard } from '../../../shared/data/shard.ts';
import type { GradientComputer } from '../../../shared/engine/engine.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';

const shard: Shard = {
  sampleNumbers: Uint32Array.of(0),
  inputs: [new Uint8Array(4)],
  targets: [Uint8Array.of(0)],
};

/** Computer in another thread, which fills the gradient with its first weight when the test lets it finish. */
class SlowComputer implements GradientComputer {
  readonly finish: (() => void)[] = [];
  #weights = new Float32Array(0);

  setWeights(weights: Float32Array): void {
    this.#weights = weights as Float32Array<ArrayBuffer>;
  }

  async gradient(
    _: Step,
    __: Shard,
    gradient: Float32Array,
  ): Promise<{ lossSum: number; metrics: number[] }> {
    await new Promise<void>((resolve) => this.finish.push(resolve));
    gradient.fill(this.#weights[0]!);
    return { lossSum: 0, metrics: [0] };
  }

  prepare = (): void => undefined;
  evaluate = (): Promise<{ lossSum: number; metrics: number[] }> =>
    Promise.resolve({ lossSum: this.#weights[0]!, metrics: [0] });
  predict = (): Promise<Float32Array> => Promise.resolve(new Float32Array(0));
  dispose = (): void => undefined;
}

it('recomputes shards one after the other, each with separate weights and a separate gradient', async () => {
  const computer = new SlowComputer();
  const info = { backend: 'wasm', version: '1', device: 'cpu', threads: 1 };
  const referenceEngine = new ReferenceEngine(exampleJob, () =>
    Promise.resolve({
      engine: { info, load: () => Promise.resolve(computer) },
      close: () => Promise.resolve(),
    }),
  );
  const first = referenceEngine.gradient(0 as Step, Float32Array.of(1), shard);
  const second = referenceEngine.gradient(1 as Step, Float32Array.of(2), shard);
  const score = referenceEngine.evaluate(Float32Array.of(3), shard);
  await expect.poll(() => computer.finish.length).toBe(1);
  computer.finish[0]!();
  await expect.poll(() => computer.finish.length).toBe(2);
  computer.finish[1]!();

  expect((await first).gradient[0]).toBe(1);
  expect((await second).gradient[0]).toBe(2);
  expect((await score).lossSum).toBe(3);
});
