import { codecKernels } from '../../../../shared/codec/kernels/simd.ts';
import type { Binding, TensorHandle } from '../../../../worker-node/engine/native/backend.ts';

/** Graphs of exact mode's gradients. */
export type ExactGraph = 'gradient' | 'added' | 'cut';

/** Difference from the installed TensorFlow. */
export interface Variant {
  /** Kind of graph in whose results the last bit of one value is flipped. */
  readonly otherBits?: ExactGraph;
  /** Index of the output with that value; 0 by default. */
  readonly output?: number;
  /** Treatment of subnormal values by AddV2. */
  readonly addition?: 'flushing' | 'keeping';
}

/** Changed TensorFlow. */
export interface VariantBinding {
  readonly binding: Binding;
  /** Gradient graphs that ran, by kind and samples: "cut 8". */
  readonly runs: string[];
}

const additions = {
  flushing: (left: Float32Array, right: Float32Array, sum: Float32Array): void =>
    codecKernels.addFlushToZero(left, right, sum),
  keeping: (left: Float32Array, right: Float32Array, sum: Float32Array): void =>
    left.forEach((value, i) => (sum[i] = value + (right[i] ?? NaN))),
};

/**
 * Changes the results of TensorFlow that otherwise depend on the processor.
 * @param microShard samples of a micro-shard; a gradient graph of more samples has all micro-shards
 */
export function variantOf(binding: Binding, microShard: number, variant: Variant): VariantBinding {
  const runs: string[] = [];

  const replaced = ({ id, shape, dtype }: TensorHandle, values: Float32Array): TensorHandle => {
    binding.deleteTensor(id);
    return { id: binding.createTensor(shape, dtype, values), shape, dtype };
  };

  const executeOp: Binding['executeOp'] = (name, attributes, ids, outputs) => {
    const made = binding.executeOp(name, attributes, ids, outputs);
    const [handle] = made;
    if (name !== 'AddV2' || variant.addition === undefined || handle === undefined) return made;
    const [left, right] = ids.map((id) => binding.tensorDataSync(id) as Float32Array);
    const sum = new Float32Array(left?.length ?? 0);
    additions[variant.addition](left ?? sum, right ?? sum, sum);
    return [replaced(handle, sum)];
  };

  const runSavedModel: Binding['runSavedModel'] = (session, ids, inputNames, outputNames) => {
    const outputs = binding.runSavedModel(session, ids, inputNames, outputNames);
    if (!inputNames.includes('target_0:')) return outputs;
    const parts = inputNames.split(',').filter((name) => name.startsWith('weights_')).length;
    const samples = outputs[parts]?.shape[0] ?? 0;
    const adds = inputNames.includes('left_');
    const kind = samples > microShard ? 'cut' : adds ? 'added' : 'gradient';
    runs.push(`${kind} ${samples}`);
    if (kind !== variant.otherBits) return outputs;
    return outputs.map((handle, i) => {
      if (i !== (variant.output ?? 0)) return handle;
      const values = binding.tensorDataSync(handle.id).slice() as Float32Array;
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      bits[bits.length - 1] = (bits.at(-1) ?? 0) ^ 1;
      return replaced(handle, values);
    });
  };

  return {
    runs,
    binding: Object.create(binding, {
      executeOp: { value: executeOp },
      runSavedModel: { value: runSavedModel },
    }) as Binding,
  };
}
