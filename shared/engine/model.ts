import type * as tfjs from '@tensorflow/tfjs';
import { layoutOf, type Layout } from '../model/layout.ts';
import type { LayoutEntry, Topology } from '../model/job.ts';

/** tf is handed in, so that the same code serves every backend. */
export type TF = typeof tfjs;

/** A model that was built, with its tensors in the order of the flat vector. */
export interface BuiltModel {
  readonly model: tfjs.LayersModel;
  readonly entries: LayoutEntry[];
  readonly layout: Layout;
  readonly variables: readonly tfjs.Variable[];
  /** Names that a saved model's weights go by; they never travel. */
  readonly names: readonly string[];
  /**
   * @param values not to be changed afterwards: backends copy them only when they compute
   * @param from where they belong in the flat vector, of which they are whole tensors
   */
  setWeights(values: Float32Array, from?: number): void;
  readWeights(): Promise<Float32Array>;
  dispose(): void;
}

/**
 * Builds a tfjs-layers model from its topology, with the weights that its initializers give it.
 * @throws Error if the topology is none that tfjs-layers can build
 */
export async function buildModel(tf: TF, topology: Topology): Promise<BuiltModel> {
  const model = await tf.models.modelFromJSON(topology as never);
  const trainable = new Set(model.trainableWeights.map((weight) => weight.name));
  const entries = model.weights.map(({ name, shape }) => ({
    shape: shape.map(Number),
    trainable: trainable.has(name),
  }));
  const layout = layoutOf(entries);
  // LayerVariable.read() answers with the variable itself, typed as the tensor that it also is.
  const variables = model.weights.map((weight) => weight.read()) as tfjs.Variable[];
  return {
    model,
    entries,
    layout,
    variables,
    names: model.weights.map((weight) => weight.originalName),
    setWeights(values, from = 0) {
      layout.slices.forEach(({ shape, offset, size }, i) => {
        if (offset < from || offset >= from + values.length) return;
        const tensor = tf.tensor(values.subarray(offset - from, offset - from + size), [...shape]);
        variables[i]?.assign(tensor);
        tensor.dispose();
      });
    },
    async readWeights() {
      const values = new Float32Array(layout.length);
      const parts = await Promise.all(variables.map((variable) => variable.data()));
      layout.slices.forEach(({ offset }, i) => values.set(parts[i] ?? [], offset));
      return values;
    },
    dispose: () => void model.dispose(),
  };
}
