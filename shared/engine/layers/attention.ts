import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { sizeOf } from '../../model/layout.ts';
import { randomContext } from './random-source.ts';
import {
  numberOf,
  ownLayer,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
  type Weight,
} from './stock.ts';

/** Masks of the query and of the values and keys, [samples, steps] with 1 for steps that count. */
interface AttentionMasks {
  readonly query?: tfjs.Tensor | null;
  readonly value?: tfjs.Tensor | null;
  readonly key?: tfjs.Tensor | null;
}

/** Values of a layer's inputs by their names: one input serves as query, value and key. */
interface Named<T> {
  readonly query: T;
  readonly value: T;
  readonly key: T;
}

/** @param values in the order of the inputs */
function named<T>({ settings }: OwnLayer, values: readonly (T | undefined)[]): Named<T> {
  const names = (settings.inputOrder ?? ['query', 'value', 'key']) as readonly (keyof Named<T>)[];
  const valueOf = (name: keyof Named<T>): T | undefined => values[names.indexOf(name)];
  const query = valueOf('query');
  const value = valueOf('value') ?? query;
  const key = valueOf('key') ?? value;
  if (query === undefined || value === undefined || key === undefined)
    throw new Error('An attention layer was called without inputs.');
  return { query, value, key };
}

const namedInputs = (layer: OwnLayer, inputs: Inputs): Named<tfjs.Tensor> => named(layer, [inputs].flat());

const namedShapes = (layer: OwnLayer, shapes: tfjs.Shape | tfjs.Shape[]): Named<number[]> =>
  named(layer, (Array.isArray(shapes[0]) ? shapes : [shapes]) as number[][]);

/** Masks of the inputs in the arguments of a call. */
function namedMasks(layer: OwnLayer, { mask }: CallArguments): AttentionMasks {
  if (mask === undefined || mask === null) return {};
  return named<tfjs.Tensor | null>(layer, [mask].flat() as (tfjs.Tensor | null)[]);
}

/** Inserts an axis of length 1. tf.expandDims cannot be captured as a graph of native TensorFlow. */
const insertAxis = (tf: TF, x: tfjs.Tensor, axis: number): tfjs.Tensor =>
  tf.reshape(x, x.shape.toSpliced(axis, 0, 1));

/**
 * Tensor with 1 where a query step attends to a value step, else 0; null without any mask.
 * @returns [samples or 1, query steps, value steps]
 */
function attentionMask(
  tf: TF,
  steps: readonly [number, number],
  { query, value, key }: AttentionMasks,
  isCausal: boolean,
): tfjs.Tensor | null {
  const masks: tfjs.Tensor[] = [];
  if (query) masks.push(insertAxis(tf, query, 2));
  for (const mask of [value, key]) if (mask) masks.push(insertAxis(tf, mask, 1));
  if (isCausal) {
    const [rows, columns] = steps;
    const lower = Float32Array.from({ length: rows * columns }, (_, i) =>
      i % columns <= Math.floor(i / columns) ? 1 : 0,
    );
    masks.push(tf.tensor(lower, [1, rows, columns]));
  }
  return masks.length === 0 ? null : masks.reduce((all, mask) => tf.mul(all, mask));
}

/** Score of a pair of steps that must not attend: its share of a softmax is 0. */
const MASKED_SCORE = -1e9;

/** Softmax over the last axis, without steps for which the mask is 0. */
function maskedSoftmax(tf: TF, scores: tfjs.Tensor, mask: tfjs.Tensor | null): tfjs.Tensor {
  if (mask === null) return tf.softmax(scores);
  return tf.softmax(tf.add(tf.mul(scores, mask), tf.mul(tf.sub(1, mask), MASKED_SCORE)));
}

/** Drops scores of attention in training, by a layer's own mask. */
function dropScores(tf: TF, layer: OwnLayer, scores: tfjs.Tensor, kwargs: CallArguments): tfjs.Tensor {
  const { masks } = randomContext(tf);
  const rate = numberOf(layer, 'dropout', 0);
  if (masks === null || rate <= 0 || kwargs.training === false) return scores;
  const number = numberOf(layer, 'number', 0);
  return masks.dropout?.(number, rate, scores) ?? tf.mul(scores, masks.draw(number, rate, scores.shape));
}

/** Kernel and bias of a projection. */
interface Projection {
  readonly kernel: Weight;
  readonly bias: Weight | null;
}

/** Dimensions of a layer with several heads. */
interface Heads {
  readonly queryHeads: number;
  /** Each serves queryHeads / valueHeads heads of the query. */
  readonly valueHeads: number;
  readonly keySize: number;
  readonly valueSize: number;
}

function projection(
  layer: OwnLayer,
  name: string,
  kernel: readonly number[],
  bias: readonly number[],
  number: number,
): Projection {
  return {
    kernel: layer.addTensor(`${name}/kernel`, kernel, 'kernel', number),
    bias: layer.settings.useBias === false ? null : layer.addTensor(`${name}/bias`, bias, 'bias'),
  };
}

/**
 * Product of the last axis with a kernel, plus a bias.
 * @param x [samples, steps, inputs]
 * @param inputs values of the last axis
 * @returns [samples, steps, outputs]
 */
function project(tf: TF, x: tfjs.Tensor, { kernel, bias }: Projection, inputs: number): tfjs.Tensor {
  const [samples = 0, steps = 0] = x.shape;
  const rows = tf.matMul<tfjs.Tensor2D>(tf.reshape(x, [-1, inputs]), tf.reshape(kernel.read(), [inputs, -1]));
  const biased = bias === null ? rows : tf.add(rows, tf.reshape(bias.read(), [-1]));
  return tf.reshape(biased, [samples, steps, -1]);
}

/** Moves heads before the steps: [samples, steps, heads x size] becomes [samples, heads, steps, size]. */
function splitHeads(tf: TF, x: tfjs.Tensor, heads: number): tfjs.Tensor {
  const [samples = 0, steps = 0] = x.shape;
  return tf.transpose(tf.reshape(x, [samples, steps, heads, -1]), [0, 2, 1, 3]);
}

/** Repeats each head: [samples, heads, steps, size] becomes [samples, heads x times, steps, size]. */
function repeatHeads(tf: TF, x: tfjs.Tensor, times: number): tfjs.Tensor {
  if (times === 1) return x;
  const [samples = 0, heads = 0, steps = 0, size = 0] = x.shape;
  const repeated = tf.tile(tf.reshape(x, [samples, heads, 1, steps * size]), [1, 1, times, 1]);
  return tf.reshape(repeated, [samples, heads * times, steps, size]);
}

/**
 * Attention with several heads, as Keras computes it: softmax(q k^T / sqrt(key size)) v, with projections of query, key, value
 * and result. Source: Vaswani et al., "Attention is all you need" (2017); with fewer heads of keys and values: Ainslie et al.,
 * "GQA" (2023). Steps of several axes, as of images, count as one axis.
 */
function headsLayer(tf: TF, className: string, headsOf: (layer: OwnLayer) => Heads): LayerClass {
  return class extends ownLayer(tf) {
    static readonly className = className;
    #parts: Record<'query' | 'key' | 'value' | 'output', Projection> | null = null;

    override build(shapes: tfjs.Shape | tfjs.Shape[]): void {
      const { query, value, key } = namedShapes(this, shapes);
      if (query.length > 3 && (this.settings.attentionAxes ?? null) !== null) {
        throw new Error(
          `Layer ${this.name} (${className}) attends along one of several axes, which is not supported. Reshape its input to one axis of steps.`,
        );
      }
      const { queryHeads, valueHeads, keySize, valueSize } = headsOf(this);
      const last = (shape: number[]): number => Number(shape.at(-1));
      const outputs = this.#outputs(query);
      this.#parts = {
        query: projection(this, 'query', [last(query), queryHeads, keySize], [queryHeads, keySize], 0),
        key: projection(this, 'key', [last(key), valueHeads, keySize], [valueHeads, keySize], 1),
        value: projection(this, 'value', [last(value), valueHeads, valueSize], [valueHeads, valueSize], 2),
        output: projection(this, 'attention_output', [queryHeads, valueSize, outputs], [outputs], 3),
      };
      super.build(shapes);
    }

    override computeOutputShape(shapes: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const { query } = namedShapes(this, shapes);
      return [...query.slice(0, -1), this.#outputs(query)];
    }

    #outputs(query: readonly number[]): number {
      const [configured = null] = [this.settings.outputShape].flat() as (number | null | undefined)[];
      return configured ?? Number(query.at(-1));
    }

    override call(inputs: Inputs, kwargs: CallArguments): tfjs.Tensor {
      const parts = this.#parts;
      if (parts === null) throw new Error(`Layer ${this.name} is not built.`);
      return tf.tidy(() => {
        const { query, value, key } = namedInputs(this, inputs);
        const { queryHeads, valueHeads, keySize, valueSize } = headsOf(this);
        const heads = (input: tfjs.Tensor, part: Projection, count: number): tfjs.Tensor => {
          const size = input.shape.at(-1) ?? 0;
          const steps = sizeOf(input.shape.slice(1, -1));
          const rows = tf.reshape(input, [input.shape[0], steps, size]);
          return splitHeads(tf, project(tf, rows, part, size), count);
        };
        const times = queryHeads / valueHeads;
        const q = tf.mul(heads(query, parts.query, queryHeads), 1 / Math.sqrt(keySize));
        const k = repeatHeads(tf, heads(key, parts.key, valueHeads), times);
        const v = repeatHeads(tf, heads(value, parts.value, valueHeads), times);
        const steps = [q.shape[2] ?? 0, k.shape[2] ?? 0] as const;
        const mask = attentionMask(tf, steps, namedMasks(this, kwargs), this.settings.useCausalMask === true);
        const scores = tf.matMul(q, k, false, true);
        const masked = mask && insertAxis(tf, mask, 1);
        const softmax = maskedSoftmax(tf, scores, masked);
        // Only with dropout, Keras has shares of 0 for a step that attends to none.
        const shares =
          masked !== null && numberOf(this, 'dropout', 0) > 0 ? tf.mul(softmax, masked) : softmax;
        const result = tf.matMul(dropScores(tf, this, shares, kwargs), v);
        const width = queryHeads * valueSize;
        const joined = tf.reshape(tf.transpose(result, [0, 2, 1, 3]), [-1, steps[0], width]);
        const output = project(tf, joined, parts.output, width);
        return tf.reshape(output, [...query.shape.slice(0, -1), this.#outputs(query.shape)]);
      });
    }
  };
}

/** MultiHeadAttention, which tfjs-layers lacks. Its inputs are query, value and, if it is not the value, key. */
const multiHeadAttentionLayer = (tf: TF): LayerClass =>
  headsLayer(tf, 'MultiHeadAttention', (layer) => {
    const heads = numberOf(layer, 'numHeads', 1);
    const keySize = numberOf(layer, 'keyDim', 1);
    return { queryHeads: heads, valueHeads: heads, keySize, valueSize: numberOf(layer, 'valueDim', keySize) };
  });

/** GroupQueryAttention, which tfjs-layers lacks. */
const groupQueryAttentionLayer = (tf: TF): LayerClass =>
  headsLayer(tf, 'GroupQueryAttention', (layer) => {
    const size = numberOf(layer, 'headDim', 1);
    return {
      queryHeads: numberOf(layer, 'numQueryHeads', 1),
      valueHeads: numberOf(layer, 'numKeyValueHeads', 1),
      keySize: size,
      valueSize: size,
    };
  });

/**
 * Attention without projections: softmax(scores of query and key) value. Scores are products (Luong et al., 2015) or sums
 * through a tanh (Bahdanau et al., 2014).
 */
function plainAttentionLayer(tf: TF, className: string): LayerClass {
  return class extends ownLayer(tf) {
    static readonly className = className;
    #scale: Weight | null = null;
    #concatWeight: Weight | null = null;

    override build(shapes: tfjs.Shape | tfjs.Shape[]): void {
      const { query } = namedShapes(this, shapes);
      const isAdditive = className === 'AdditiveAttention';
      if (this.settings.useScale === true || (isAdditive && this.settings.useScale !== false))
        this.#scale = this.addTensor('scale', isAdditive ? [Number(query.at(-1))] : [], 'scale');
      if (this.settings.scoreMode === 'concat')
        this.#concatWeight = this.addTensor('concat_score_weight', [], 'concatScoreWeight');
      super.build(shapes);
    }

    override computeOutputShape(shapes: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const { query, value } = namedShapes(this, shapes);
      return [...query.slice(0, -1), Number(value.at(-1))];
    }

    override call(inputs: Inputs, kwargs: CallArguments): tfjs.Tensor {
      return tf.tidy(() => {
        const { query, value, key } = namedInputs(this, inputs);
        const steps = [query.shape[1] ?? 0, key.shape[1] ?? 0] as const;
        // Keras uses the mask of the values alone for the scores.
        const masks = namedMasks(this, kwargs);
        const allowed = attentionMask(
          tf,
          steps,
          { value: masks.value ?? null },
          this.settings.useCausalMask === true,
        );
        const shares = maskedSoftmax(tf, this.#scores(query, key), allowed);
        const result = tf.matMul(dropScores(tf, this, shares, kwargs), value);
        return masks.query ? tf.mul(result, insertAxis(tf, masks.query, 2)) : result;
      });
    }

    /** Scores of all pairs of steps: [samples, query steps, key steps]. */
    #scores(query: tfjs.Tensor, key: tfjs.Tensor): tfjs.Tensor {
      const scale = this.#scale?.read();
      if (className === 'Attention' && this.#concatWeight === null) {
        const products = tf.matMul(query, key, false, true);
        return scale === undefined ? products : tf.mul(products, scale);
      }
      const sums = tf.add(insertAxis(tf, query, 2), insertAxis(tf, key, 1));
      if (className === 'AdditiveAttention') {
        const curved = tf.tanh(sums);
        return tf.sum(scale === undefined ? curved : tf.mul(curved, scale), -1);
      }
      const curved = tf.sum(tf.tanh(scale === undefined ? sums : tf.mul(sums, scale)), -1);
      return this.#concatWeight === null ? curved : tf.mul(curved, this.#concatWeight.read());
    }
  };
}

/** Attention, which tfjs-layers lacks. */
const attentionLayer = (tf: TF): LayerClass => plainAttentionLayer(tf, 'Attention');

/** AdditiveAttention, which tfjs-layers lacks. */
const additiveAttentionLayer = (tf: TF): LayerClass => plainAttentionLayer(tf, 'AdditiveAttention');

export const attentionLayers: readonly LayerFactory[] = [
  multiHeadAttentionLayer,
  groupQueryAttentionLayer,
  attentionLayer,
  additiveAttentionLayer,
];
