import type { RandomStream } from '../random/stream.ts';
import type { Shard } from './shard.ts';
import {
  createTensor,
  sampleSize,
  type SampleFormat,
  type TensorSpec,
  type TensorValues,
} from '../model/tensors.ts';

/**
 * Shard of noise whose values every model takes: numbers below `classes`, any bytes, 0 or 1 as bool or int32, and -0.5 to 0.5 as
 * float32. Each value uses one word; inputs come before targets.
 */
export function randomShard(
  { inputs, targets, sampleWeights }: SampleFormat,
  samples: number,
  words: Pick<RandomStream, 'uint32' | 'below' | 'uniform'>,
): Shard {
  const draw = (spec: TensorSpec): TensorValues => {
    const values = createTensor(spec, samples * sampleSize(spec));
    const next = valueSource(spec, words);
    for (let i = 0; i < values.length; i++) values[i] = next();
    return values;
  };
  return {
    sampleNumbers: Uint32Array.from({ length: samples }, (_, i) => i),
    inputs: inputs.map(draw),
    targets: targets.map(draw),
    ...(sampleWeights === true ? { weights: new Float32Array(samples).fill(1) } : {}),
  };
}

function valueSource(
  { dtype, classes }: TensorSpec,
  words: Pick<RandomStream, 'uint32' | 'below' | 'uniform'>,
): () => number {
  if (classes !== undefined) return () => words.below(classes);
  if (dtype === 'uint8') return () => words.uint32() & 255;
  if (dtype === 'float32') return () => words.uniform() - 0.5;
  return () => words.uint32() & 1;
}
