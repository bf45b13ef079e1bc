import type { Engine } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { norm } from './vectors.ts';

// Runs in a page as well as in Node. Arrays are those of JSON.

/** One step of a dense layer with a loss, and Keras' results. */
export interface LossStep {
  readonly job: Job;
  /** Kernel and bias. */
  readonly layer: readonly number[];
  readonly inputs: readonly number[];
  readonly target: readonly number[];
  readonly isClass: boolean;
  /** Weights of the samples, or null. */
  readonly weights: readonly number[] | null;
  readonly value: number;
  readonly gradient: readonly number[];
}

/**
 * Computes a step on an engine.
 * @param repeats number of computations, of which the last is measured: engines may compute the first shard of a size
 *   differently
 * @param between called after each computation
 * @returns differences from Keras, relative to the value and to the gradient's norm
 */
export async function compareLossStep(
  engine: Engine,
  step: LossStep,
  repeats = 1,
  between: () => void = () => undefined,
): Promise<{ readonly loss: number; readonly gradient: number }> {
  const computer = await engine.load(step.job);
  const gradient = new Float32Array(step.gradient.length);
  let lossSum = NaN;
  try {
    computer.setWeights(Float32Array.from(step.layer));
    const shard = {
      inputs: [Float32Array.from(step.inputs)],
      targets: [step.isClass ? Uint8Array.from(step.target) : Float32Array.from(step.target)],
      ...(step.weights === null ? {} : { weights: Float32Array.from(step.weights) }),
      sampleNumbers: new Uint32Array(step.job.batchSize),
    };
    for (let i = 0; i < repeats; i++) {
      ({ lossSum } = await computer.gradient(i as Step, shard, gradient));
      between();
    }
  } finally {
    computer.dispose();
  }
  const difference = gradient.map((value, i) => value - (step.gradient[i] ?? NaN));
  return {
    loss: Math.abs(lossSum - step.value) / Math.max(1, Math.abs(step.value)),
    gradient: norm(difference) / norm(Float32Array.from(step.gradient)),
  };
}
