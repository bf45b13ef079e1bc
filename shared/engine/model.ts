import type * as tfjs from '@tensorflow/tfjs';
import { layoutOf, type Layout } from '../model/layout.ts';
import type { LayoutEntry, Topology } from '../model/job.ts';
import {
  registerAveragePoolGradients,
  registerDilatedGradient,
  registerExtremumGradients,
} from './gradient-corrections.ts';
import { applyMasks } from './layers/masks.ts';
import { registerLayers } from './layers/register.ts';
import type { CallArguments } from './layers/stock.ts';
import type { TF } from '../util/tf.ts';

/** Built model with its tensors in the order of the flat vector. */
export interface BuiltModel {
  readonly model: tfjs.LayersModel;
  readonly entries: LayoutEntry[];
  readonly layout: Layout;
  readonly variables: readonly tfjs.Variable[];
  /** Names of the weights in a saved model; they are not part of the protocol. */
  readonly names: readonly string[];
  /** @param values the flat vector; must not change afterwards, because backends copy it when they compute */
  setWeights(values: Float32Array): void;
  readWeights(): Promise<Float32Array>;
  dispose(): void;
}

/**
 * Builds a tfjs-layers model from its topology, with initial weights.
 * @throws Error if tfjs-layers cannot build the topology
 */
export async function buildModel(tf: TF, topology: Topology): Promise<BuiltModel> {
  const model = await loadModel(tf, topology);
  const trainable = new Set(model.trainableWeights.map((weight) => weight.name));
  const entries = model.weights.map(({ name, shape }) => ({
    shape: shape.map(Number),
    trainable: trainable.has(name),
  }));
  const layout = layoutOf(entries);
  // LayerVariable.read() returns the variable itself, typed as a tensor.
  const variables = model.weights.map((weight) => weight.read()) as tfjs.Variable[];
  return {
    model,
    entries,
    layout,
    variables,
    names: model.weights.map((weight) => weight.originalName),
    setWeights(values) {
      layout.slices.forEach(({ shape, offset, size }, i) => {
        const tensor = tf.tensor(values.subarray(offset, offset + size), [...shape]);
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
    dispose() {
      model.dispose();
      // tfjs does not dispose the variables of layers that are called more than once.
      for (const variable of variables) if (!variable.isDisposed) variable.dispose();
    },
  };
}

/** Loads a model and corrects tfjs-layers where it computes otherwise than Keras. */
async function loadModel(tf: TF, topology: Topology): Promise<tfjs.LayersModel> {
  registerLayers(tf);
  registerAveragePoolGradients(tf);
  registerDilatedGradient(tf);
  registerExtremumGradients(tf);
  const model = await tf.models.modelFromJSON(topology as never);
  try {
    rejectEmptyOutputs(model);
    applyCallArguments(model);
    applyMasks(tf, model);
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** Rejects layers with an empty output, because kernels of tfjs' backends write beyond it. */
function rejectEmptyOutputs({ layers = [] }: { readonly layers?: readonly tfjs.layers.Layer[] }): void {
  for (const layer of layers) {
    rejectEmptyOutputs(layer as { readonly layers?: readonly tfjs.layers.Layer[] });
    for (const { outputShapes } of layer.inboundNodes) {
      const shapes = (Array.isArray(outputShapes[0]) ? outputShapes : [outputShapes]) as tfjs.Shape[];
      const empty = shapes.find((shape) => shape.slice(1).includes(0));
      if (empty === undefined) continue;
      throw new Error(
        `Layer ${layer.name} (${layer.getClassName()}) has an empty output, [${empty.slice(1).join(', ')}]: its input ` +
          'is too small. Use larger samples, or a model with fewer or smaller convolutions and pools.',
      );
    }
  }
}

/** Call of a layer in a model. */
interface CallSite {
  readonly callArgs?: CallArguments | null;
}

/** Layer that contains layers: a nested model or a wrapper. */
interface LayerContainer {
  readonly layers?: readonly tfjs.layers.Layer[];
  readonly layer?: tfjs.layers.Layer;
}

/**
 * Makes layers and nested models compute in inference mode if the topology calls them with training=False, which tfjs-layers
 * ignores.
 * @throws Error naming the layer if only some of its calls have training=False
 */
export function applyCallArguments(model: tfjs.layers.Layer): void {
  const { layers = [], layer: wrapped } = model as unknown as LayerContainer;
  for (const layer of wrapped === undefined ? layers : [...layers, wrapped]) {
    // The inputs of a model also count as a call, without arguments.
    const nodes = layer.inboundNodes as unknown as readonly CallSite[];
    const sites = nodes.filter(({ callArgs }) => callArgs !== undefined && callArgs !== null);
    const inference = sites.filter(({ callArgs }) => callArgs?.training === false).length;
    if (inference > 0) {
      if (inference < sites.length) {
        throw new Error(
          `Layer ${layer.name} is called with training=False in one place and without it in another, which is not supported. ` +
            'Use two layers.',
        );
      }
      const call = layer.call.bind(layer);
      layer.call = (inputs, kwargs) => call(inputs, { ...kwargs, training: false });
    }
    applyCallArguments(layer);
  }
}
