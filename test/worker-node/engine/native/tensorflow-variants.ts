import { codecKernels } from '../../../../shared/codec/kernels/simd.ts';
import type { Binding, TensorHandle } from '../../../../worker-node/engine/native/backend.ts';

/** Graphs of exact mode's gradients. */
export type ExactGraph = 'gradient' | 'added' | 'cut';

/** How a TensorFlow differs from the one that is installed. */
export interface Variant {
  /** The kind of graph of which one value's last bit is another one. */
  readonly otherBits?: ExactGraph;
  /** The output in which it is; the first one if it is not given. */
  readonly output?: number;
  /** How AddV2 treats subnormal values. */
  readonly addition?: 'flushing' | 'keeping';
}

/** The installed TensorFlow, changed. */
export interface VariantBinding {
  readonly binding: Binding;
  /** The gradients' graphs that ran, as "cut 8": the kind and its samples. */
  readonly runs: string[];
}

const additions = {
  flushing: (left: Float32Array, right: Float32Array, sum: Float32Array): void =>
    codecKernels.addFlushToZero(left, right, sum),
  keeping: (left: Float32Array, right: Float32Array, sum: Float32Array): void =>
    left.forEach((value, i) => (sum[i] = value + (right[i] ?? NaN))),
};

/**
 * Forces what the processor decides otherwise.
 * @param microShard the samples of a micro-shard: a gradient's graph of more is one of all micro-shards
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
    if (!inputNames.includes('target:')) return outputs;
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
