import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import type { ManualClock } from '../support/manual-clock.ts';
import { imageTensors } from '../../shared/model/tensors.ts';

/** A job of one weight, whose samples are one byte each. */
export const oneWeightJob = {
  layout: [{ shape: [1], trainable: true }],
  ...imageTensors([1], 2),
} as unknown as Job;

/** Computes each shard for 100 ms of the clock, and logs predictions and dispose. */
export function slowEngine(clock: ManualClock): { readonly engine: Engine; readonly log: string[] } {
  const log: string[] = [];
  let weight = 0;
  const after = <T>(ms: number, value: T) =>
    new Promise<T>((resolve) => void clock.after(ms, () => resolve(value)));
  const computer: GradientComputer = {
    setWeights: ([first = 0]) => void (weight = first),
    gradient: () => after(100, { lossSum: 1, metrics: [1] }),
    prepare: () => undefined,
    evaluate: () => after(100, { lossSum: 1, metrics: [1] }),
    predict: () => {
      log.push(`predict with ${weight}`);
      return Promise.resolve(new Float32Array([0.25, 0.75]));
    },
    dispose: () => void log.push('dispose'),
  };
  const engine: Engine = {
    info: { backend: 'wasm', version: '', device: '', threads: 1 },
    load: () => Promise.resolve(computer),
  };
  return { engine, log };
}
