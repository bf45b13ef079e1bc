import type { Shard } from '../../../shared/data/shard.ts';
import type { ShardResult } from '../../../shared/engine/engine.ts';
import type { ModelStep } from '../../../shared/engine/model-step.ts';
import { scoreLogits } from '../../../shared/model/loss.ts';
import type { NativeTensors } from './held-tensors.ts';

/** Reads what the graphs of a model give, in the order that StepGraph has. */
export interface OutputReader {
  /** All of a gradient's graph, which is disposed of. @param factored of a graph with factors */
  gradient(outputs: NativeTensors, shard: Shard, gradient: Float32Array, factored: boolean): ShardResult;
  /** Of a graph of logits, which is disposed of. */
  logits(outputs: NativeTensors): Float32Array;
  /** The gradient's parts alone. */
  gradientTensors(outputs: NativeTensors, gradient: Float32Array): void;
}

export function outputReader({ built, factoredIndex }: ModelStep, classes: number): OutputReader {
  const { slices } = built.layout;
  const kernel = slices[factoredIndex ?? -1];

  const scoresAt = (outputs: NativeTensors, output: number, { labels }: Shard): ShardResult =>
    scoreLogits(outputs.read(output), labels, classes);

  const gradientTensors = (outputs: NativeTensors, gradient: Float32Array): void =>
    slices.forEach(({ offset }, i) => gradient.set(outputs.read(i), offset));

  return {
    gradientTensors,

    gradient: (outputs, shard, gradient, factored) =>
      readAndDispose(outputs, () => {
        gradientTensors(outputs, gradient);
        if (!factored) return { ...scoresAt(outputs, slices.length, shard), factored };
        const behind = (kernel?.offset ?? 0) + shard.labels.length * (kernel?.shape[0] ?? 0);
        gradient.set(outputs.read(slices.length), behind);
        return { ...scoresAt(outputs, slices.length + 1, shard), factored };
      }),

    logits: (outputs) => readAndDispose(outputs, () => outputs.read(0)),
  };
}

function readAndDispose<T>(outputs: NativeTensors, read: () => T): T {
  try {
    return read();
  } finally {
    outputs.dispose();
  }
}
