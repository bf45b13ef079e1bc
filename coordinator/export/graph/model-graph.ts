import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Job } from '../../../shared/model/job.ts';
import {
  asArray,
  copyModel,
  isModel,
  layerLabel,
  layersOf,
  ownEntry,
  type LayerConfig,
} from '../../../shared/model/keras-layer.ts';
import { makesMask, MASK_FLOWS } from '../../../shared/model/keras3-masks.ts';
import type { NamedWeights } from '../../model-file/weights-file.ts';
import { Graph, type Dialect, type Tensor } from './graph.ts';
import { inputOf, type LayerCall, type LayerWriters } from './layer-call.ts';
import { activationLayers } from './activations.ts';
import { attentionLayers } from './attention.ts';
import { convolutionLayers } from './convolution.ts';
import { denseLayers } from './dense.ts';
import { categoryLayers, normalizationLayers } from './normalization.ts';
import { operationLayers } from './operations.ts';
import { poolingLayers } from './pooling.ts';
import { recurrentLayers } from './recurrent.ts';
import { reshapingLayers } from './reshaping.ts';

const WRITERS: LayerWriters = {
  ...activationLayers,
  ...attentionLayers,
  ...categoryLayers,
  ...convolutionLayers,
  ...denseLayers,
  ...normalizationLayers,
  ...operationLayers,
  ...poolingLayers,
  ...recurrentLayers,
  ...reshapingLayers,
};

/** Classes of layers that become operations, for tests. */
export const WRITTEN_LAYERS: readonly string[] = Object.keys(WRITERS);

/** Layers that use the masks of their inputs. */
const USES_MASKS: ReadonlySet<string> = new Set([
  'AdditiveAttention',
  'Attention',
  'Bidirectional',
  'GRU',
  'GlobalAveragePooling1D',
  'GroupQueryAttention',
  'LSTM',
  'MultiHeadAttention',
  'RNN',
  'SimpleRNN',
]);

/** Part of a job that a graph needs. */
export type ExportedJob = Pick<Job, 'topology' | 'inputs' | 'outputs'>;

/**
 * Graph of a trained model as it computes predictions: without dropout, with the moving statistics of batch normalizations. Its
 * inputs and outputs have the order of the job's.
 * @param weights tensors of the model by name
 * @throws Error naming the layer that cannot be written
 * @example
 * const graph = modelGraph(job, weights, { hasRecurrent: true, hasLayerNorm: true });
 */
export function modelGraph(
  { topology, inputs }: ExportedJob,
  weights: NamedWeights,
  dialect: Dialect,
): Graph {
  const graph = new Graph(dialect);
  const model = copyModel(expandTopology(topology));
  const tensors = inputs.map(({ shape }) => graph.input([null, ...shape]));
  for (const output of new ModelWriter(graph, weights).model(model, tensors)) graph.output(output);
  return graph;
}

/** Writes the layers of a model, and those of models within it. */
class ModelWriter {
  readonly #graph: Graph;
  readonly #weights: NamedWeights;
  /** One constant for each tensor of the model, also if layers are called more than once. */
  readonly #constants = new Map<string, Tensor>();
  readonly #masks = new Map<Tensor, Tensor>();

  constructor(graph: Graph, weights: NamedWeights) {
    this.#graph = graph;
    this.#weights = weights;
  }

  /** @returns outputs of a model for its inputs */
  model(model: LayerConfig, inputs: readonly Tensor[]): Tensor[] {
    return model.class_name === 'Sequential'
      ? this.#sequential(model, inputs)
      : this.#functional(model, inputs);
  }

  #sequential(model: LayerConfig, inputs: readonly Tensor[]): Tensor[] {
    let tensors = [...inputs];
    for (const layer of layersOf(model))
      if (layer.class_name !== 'InputLayer') tensors = this.#layer(layer, tensors);
    return tensors;
  }

  #functional(model: LayerConfig, inputs: readonly Tensor[]): Tensor[] {
    const layers = layersOf(model);
    const models = new Set(layers.filter(isModel).map(({ config }) => config.name));
    /** Outputs of each call by `layer call`. */
    const results = new Map<string, Tensor[]>();
    /** Calls of a model within are counted from 1, because it is called when it is made. */
    const find = (reference: unknown): Tensor | undefined => {
      const [name, call, output] = asArray(reference);
      const own = models.has(name) ? [Number(call) - 1, Number(call)] : [Number(call)];
      const found = own
        .map((each) => results.get(`${String(name)} ${each}`))
        .find((each) => each !== undefined);
      return found?.[Number(output)];
    };
    referencesOf(model.config.input_layers).forEach((reference, i) => {
      const [name] = asArray(reference);
      results.set(`${String(name)} 0`, [inputs[i] as Tensor]);
    });
    let pending = layers.flatMap((layer) =>
      layer.class_name === 'InputLayer'
        ? []
        : asArray(layer.inbound_nodes).map((node, call) => ({ layer, call, references: asArray(node) })),
    );
    while (pending.length > 0) {
      const left: typeof pending = [];
      for (const each of pending) {
        const found = each.references.map(find);
        if (found.includes(undefined)) left.push(each);
        else
          results.set(
            `${String(each.layer.config.name)} ${each.call}`,
            this.#layer(each.layer, found as Tensor[]),
          );
      }
      if (left.length === pending.length)
        throw new Error(
          `${layerLabel((left[0] as (typeof left)[0]).layer)} is called with a tensor that no layer computes.`,
        );
      pending = left;
    }
    return referencesOf(model.config.output_layers).map((reference) => {
      const found = find(reference);
      if (found === undefined)
        throw new Error(`No layer computes the output ${String(asArray(reference)[0])}.`);
      return found;
    });
  }

  /** Outputs of one call of a layer, with their masks. */
  #layer(layer: LayerConfig, inputs: readonly Tensor[]): Tensor[] {
    if (isModel(layer)) return this.model(layer, inputs);
    const outer = this.#graph.layer;
    const name = String(layer.config.name);
    this.#graph.layer = name;
    try {
      const masks = inputs.map((input) => this.#masks.get(input) ?? null);
      const hasMask = masks.some((mask) => mask !== null);
      if (hasMask && layer.class_name === 'RNN' && JSON.stringify(layer.config).includes('"StackedRNNCells"'))
        throw new Error('it applies several cells to steps that are masked');
      const call = this.#call(layer, name, inputs);
      const used = USES_MASKS.has(layer.class_name) ? masks : [];
      const outputs = this.#compute({ ...call, masks: used });
      return this.#withMask(call, masks, outputs);
    } catch (error) {
      if (error instanceof ExportError) throw error;
      throw new ExportError(layer, error);
    } finally {
      this.#graph.layer = outer;
    }
  }

  #call(layer: LayerConfig, prefix: string, inputs: readonly Tensor[]): LayerCall {
    return {
      graph: this.#graph,
      layer,
      inputs,
      masks: [],
      prefix,
      weight: (name) => this.#constant(`${prefix}/${name}`),
      within: (inner, innerPrefix, innerInputs) => this.#call(inner, innerPrefix, innerInputs),
      compute: (call) => this.#compute(call),
    };
  }

  #compute(call: LayerCall): Tensor[] {
    if (isModel(call.layer)) return this.model(call.layer, call.inputs);
    const write = ownEntry(WRITERS, call.layer.class_name);
    if (write === undefined) throw new Error(`there is no operation for a ${call.layer.class_name}`);
    return [write(call)].flat();
  }

  /** Notes the mask of the first output. */
  #withMask(call: LayerCall, masks: readonly (Tensor | null)[], outputs: Tensor[]): Tensor[] {
    const mask = this.#maskOf(call, masks);
    const [output, ...rest] = outputs as [Tensor, ...Tensor[]];
    if (mask === (this.#masks.get(output) ?? null)) return outputs;
    // A layer may pass its input on, which has a mask of its own.
    const own = call.inputs.includes(output) ? this.#graph.unary('Identity', output) : output;
    if (mask !== null) this.#masks.set(own, mask);
    return [own, ...rest];
  }

  /** Mask of a layer's output, as shared/engine/layers/masks.ts finds it. */
  #maskOf(call: LayerCall, masks: readonly (Tensor | null)[]): Tensor | null {
    const { layer } = call;
    const graph = this.#graph;
    const { class_name: className, config } = layer;
    if (makesMask(layer)) {
      const x = inputOf(call);
      const value = className === 'Masking' ? Number(config.mask_value ?? 0) : 0;
      const differs = graph.sub(1, graph.compare('Equal', x, value));
      return className === 'Masking' ? graph.reduce('Max', differs, [-1], false) : differs;
    }
    const found = masks.filter((mask) => mask !== null);
    const flow = ownEntry(MASK_FLOWS, className);
    if (found.length === 0 || flow === undefined) return null;
    const [first = null] = masks;
    if (flow === 'first') return first;
    if (flow === 'sequences') {
      const inner = (config.layer as LayerConfig | undefined)?.config ?? config;
      return inner.return_sequences === true ? first : null;
    }
    if (flow === 'unsupported') throw new Error('it is called with a mask');
    const isAny = config.mask_merge === 'any';
    if (isAny && found.length < masks.length) return null;
    return found.reduce((left, right) => graph.binary(isAny ? 'Max' : 'Min', left, right));
  }

  #constant(name: string): Tensor {
    const known = this.#constants.get(name);
    if (known !== undefined) return known;
    const found = this.#weights.get(name);
    if (found === undefined) throw new Error(`the model has no tensor ${name}`);
    const constant = this.#graph.constant(found.values, found.shape, name);
    this.#constants.set(name, constant);
    return constant;
  }
}

/** References to tensors in a list, or a single one. */
const referencesOf = (references: unknown): unknown[] =>
  typeof asArray(references)[0] === 'string' ? [references] : asArray(references);

/** Error that names the layer that cannot be written. */
class ExportError extends Error {
  constructor(layer: LayerConfig, cause: unknown) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');
    super(
      `${layerLabel(layer)} cannot be written as a graph: ${reason}. Export the model with --format keras, or use another layer.`,
      { cause },
    );
  }
}
