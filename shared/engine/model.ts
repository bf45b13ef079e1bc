import type * as tfjs from '@tensorflow/tfjs';
import { layoutOf, type Layout } from '../model/layout.ts';
import type { LayoutEntry, Topology } from '../model/job.ts';
import {
  registerAveragePoolGradients,
  registerDilatedGradient,
  registerExtremumGradients,
  registerSliceGradient,
} from './gradient-corrections.ts';
import { takeActivityPenalties, type ActivityPenalty } from '../model/activity-penalties.ts';
import { ActivityPenalties } from './activity-penalties.ts';
import { mergingAny } from '../model/keras3-masks.ts';
import { applyMasks } from './layers/masks.ts';
import { registerLayers } from './layers/register.ts';
import { poolConvolutions } from './pooled-convolutions.ts';
import type { CallArguments, Inputs } from './layers/stock.ts';
import type { CustomObjects } from './custom-objects.ts';
import type { TF } from '../util/tf.ts';

/** Built model with its tensors in the order of the flat vector. */
export interface BuiltModel {
  readonly model: tfjs.LayersModel;
  readonly entries: LayoutEntry[];
  readonly layout: Layout;
  readonly variables: readonly tfjs.Variable[];
  /** Names of the weights in a saved model; they are not part of the protocol. */
  readonly names: readonly string[];
  /** Penalties of the outputs of layers; null if the model has none. */
  readonly penalties: ActivityPenalties | null;
  /** @param values the flat vector; must not change afterwards, because backends copy it when they compute */
  setWeights(values: Float32Array): void;
  readWeights(): Promise<Float32Array>;
  dispose(): void;
}

/**
 * Builds a tfjs-layers model from its topology, with initial weights.
 * @param custom layers of the job's custom code
 * @throws Error if tfjs-layers cannot build the topology
 */
export async function buildModel(
  tf: TF,
  topology: Topology,
  custom: CustomObjects | null = null,
): Promise<BuiltModel> {
  const { topology: plain, penalties } = takeActivityPenalties(topology);
  const { model, activity } = await loadModel(tf, plain, penalties, custom);
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
    penalties: activity,
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
async function loadModel(
  tf: TF,
  topology: Topology,
  penalties: ReadonlyMap<string, ActivityPenalty>,
  custom: CustomObjects | null,
): Promise<{ model: tfjs.LayersModel; activity: ActivityPenalties | null }> {
  registerLayers(tf);
  registerAveragePoolGradients(tf);
  registerDilatedGradient(tf);
  registerExtremumGradients(tf);
  registerSliceGradient(tf);
  const build = (): Promise<tfjs.LayersModel> => tf.models.modelFromJSON(topology as never);
  // The layers are made before the first await.
  const model = await (custom === null ? build() : custom.withLayers(build));
  try {
    rejectEmptyOutputs(model);
    poolConvolutions(tf, model, (name) => penalties.has(name));
    if (repeatsInputs(model)) keepInputs(model);
    applyCallArguments(model);
    applyMasks(tf, model, mergingAny(topology));
    const activity = penalties.size === 0 ? null : new ActivityPenalties(tf, model, penalties);
    callOnce(model);
    return { model, activity };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/**
 * Rejects layers with an empty output, because kernels of tfjs' backends write beyond it. A window that exceeds its input by more
 * than 1 makes a negative length.
 */
function rejectEmptyOutputs(model: LayerContainer): void {
  for (const layer of membersOf(model)) {
    rejectEmptyOutputs(layer as unknown as LayerContainer);
    for (const { outputShapes } of layer.inboundNodes) {
      const shapes = (Array.isArray(outputShapes[0]) ? outputShapes : [outputShapes]) as tfjs.Shape[];
      const empty = shapes.find((shape) => shape.slice(1).some((length) => length !== null && length <= 0));
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

/** Layers within a nested model or a wrapper. */
const membersOf = ({ layers = [], layer }: LayerContainer): readonly tfjs.layers.Layer[] =>
  layer === undefined ? layers : [...layers, layer];

/** Whether a layer, also of a nested model, is called with one tensor as several of its inputs. */
function repeatsInputs(model: tfjs.layers.Layer): boolean {
  const { layers = [] } = model as unknown as LayerContainer;
  return layers.some(
    (layer) =>
      repeatsInputs(layer) ||
      layer.inboundNodes.some(({ inputTensors }) => new Set(inputTensors).size < inputTensors.length),
  );
}

/** Value of the argument training with which tfjs-layers disposes of no tensors; layers see false. */
const INFERENCE = 'inference';

/**
 * Keeps the tensors of a pass in inference to its end. tfjs-layers counts a tensor that is an input of a layer twice as two uses,
 * and disposes of it before its last use.
 */
function keepInputs(model: tfjs.layers.Layer): void {
  const { layers = [] } = model as unknown as LayerContainer;
  const call = model.call.bind(model);
  const isModel = layers.length > 0;
  model.call = (inputs, kwargs) => {
    const { training } = kwargs as { readonly training?: unknown };
    if (isModel) return call(inputs, { ...kwargs, training: training === true ? true : INFERENCE });
    return call(inputs, training === INFERENCE ? { ...kwargs, training: false } : kwargs);
  };
  layers.forEach(keepInputs);
}

/** Calls of a layer by other layers. The inputs of a model also count as a call, without arguments. */
const callSites = (layer: tfjs.layers.Layer): readonly CallSite[] =>
  (layer.inboundNodes as unknown as readonly CallSite[]).filter(
    ({ callArgs }) => callArgs !== undefined && callArgs !== null,
  );

/** Last call of each layer in one pass. */
type PassResults = Map<tfjs.layers.Layer, { readonly inputs: tfjs.Tensor[]; readonly results: Inputs }>;

/**
 * Makes a layer with several outputs compute them in one call. tfjs-layers calls it once for each, so that a model within a model
 * would count penalties, and update running statistics, as often.
 */
function callOnce(model: tfjs.layers.Layer): void {
  const results: PassResults = new Map();
  if (!rememberResults(model, results)) return;
  const call = model.call.bind(model);
  model.call = (inputs, kwargs) => {
    results.clear();
    return call(inputs, kwargs);
  };
}

/** @returns whether a layer has several outputs */
function rememberResults(model: tfjs.layers.Layer, passed: PassResults): boolean {
  let found = false;
  for (const layer of membersOf(model as unknown as LayerContainer)) {
    found = rememberResults(layer, passed) || found;
    const hasSeveral = layer.inboundNodes.some(({ outputTensors }) => outputTensors.length > 1);
    if (!hasSeveral || callSites(layer).length > 1) continue;
    found = true;
    const call = layer.call.bind(layer);
    layer.call = (inputs, kwargs) => {
      const list = [inputs].flat();
      const last = passed.get(layer);
      if (last?.inputs.every((input, i) => input === list[i]) === true) return last.results;
      const results = call(inputs, kwargs);
      passed.set(layer, { inputs: list, results });
      return results;
    };
  }
  return found;
}

/**
 * Makes layers and nested models compute in inference mode if the topology calls them with training=False, which tfjs-layers
 * ignores.
 * @throws Error naming the layer if only some of its calls have training=False
 */
export function applyCallArguments(model: tfjs.layers.Layer): void {
  for (const layer of membersOf(model as unknown as LayerContainer)) {
    const sites = callSites(layer);
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
