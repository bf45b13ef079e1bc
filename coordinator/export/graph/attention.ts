import type { Graph, Tensor } from './graph.ts';
import {
  boundedSize,
  isOn,
  nameOf,
  numberOf,
  type LayerCall,
  type LayerWriter,
  type LayerWriters,
} from './layer-call.ts';

/** Values of a layer's inputs by their names: one input serves as query, value and key. */
interface Named<T> {
  readonly query: T;
  readonly value: T;
  readonly key: T;
}

function named<T>({ layer }: LayerCall, values: readonly T[]): Named<T> {
  const names = (layer.config.input_order ?? ['query', 'value', 'key']) as readonly (keyof Named<T>)[];
  const valueOf = (name: keyof Named<T>): T | undefined => values[names.indexOf(name)];
  const query = valueOf('query');
  const value = valueOf('value') ?? query;
  const key = valueOf('key') ?? value;
  return { query, value, key } as Named<T>;
}

/** 1 where a query step attends to a value step, else 0; null without any mask. */
function attentionMask(
  call: LayerCall,
  steps: readonly [number, number],
  masks: { readonly query?: Tensor | null; readonly value?: Tensor | null; readonly key?: Tensor | null },
): Tensor | null {
  const { graph } = call;
  const found: Tensor[] = [];
  const { query, value, key } = masks;
  if (query) found.push(graph.reshape(query, [...query.shape, 1]));
  for (const mask of [value, key])
    if (mask) found.push(graph.reshape(mask, [mask.shape[0] ?? null, 1, mask.shape[1] ?? null]));
  if (call.layer.config.use_causal_mask === true) {
    const [rows, columns] = steps;
    const lower = Float32Array.from({ length: boundedSize(rows, columns) }, (_, i) =>
      i % columns <= Math.floor(i / columns) ? 1 : 0,
    );
    found.push(graph.constant(lower, [1, rows, columns]));
  }
  return found.length === 0 ? null : found.reduce((all, mask) => graph.mul(all, mask));
}

/** Score of a pair of steps that must not attend. */
const MASKED_SCORE = -1e9;

function maskedSoftmax(graph: Graph, scores: Tensor, mask: Tensor | null): Tensor {
  if (mask === null) return graph.softmax(scores);
  const hidden = graph.mul(graph.sub(1, mask), MASKED_SCORE);
  return graph.softmax(graph.add(graph.mul(scores, mask), hidden));
}

interface Heads {
  readonly queryHeads: number;
  readonly valueHeads: number;
  readonly keySize: number;
  readonly valueSize: number;
}

/** Attention with several heads: softmax(q k^T / sqrt(key size)) v, with projections. */
const headsLayer =
  (headsOf: (call: LayerCall) => Heads): LayerWriter =>
  (call) => {
    const { graph } = call;
    const { query, value, key } = named(call, call.inputs);
    const masks = named<Tensor | null>(call, call.masks);
    const { queryHeads, valueHeads, keySize, valueSize } = headsOf(call);
    /** @param sides of the kernel as a matrix */
    const project = (x: Tensor, name: string, sides: readonly [number, number]): Tensor => {
      const kernel = graph.reshape(call.weight(`${name}/kernel`), sides);
      const bias = isOn(call, 'use_bias') ? graph.reshape(call.weight(`${name}/bias`), [sides[1]]) : null;
      return graph.dense(x, kernel, bias);
    };
    const stepsOf = (x: Tensor): number =>
      x.shape.slice(1, -1).reduce<number>((product, side) => product * Number(side), 1);
    /** [samples, heads, steps, size] */
    const heads = (x: Tensor, name: string, count: number, size: number): Tensor => {
      const inputs = Number(x.shape.at(-1));
      const rows = graph.reshape(x, [x.shape[0] ?? null, stepsOf(x), inputs]);
      const projected = project(rows, name, [inputs, count * size]);
      const split = graph.reshape(projected, [null, stepsOf(x), count, size]);
      return graph.transpose(split, [0, 2, 1, 3]);
    };
    const repeated = (x: Tensor): Tensor => {
      const times = queryHeads / valueHeads;
      const indices = Array.from({ length: queryHeads }, (_, i) => Math.floor(i / times));
      return times === 1 ? x : graph.gather(x, graph.integers(indices), 1);
    };
    const q = graph.mul(heads(query, 'query', queryHeads, keySize), 1 / Math.sqrt(keySize));
    const k = repeated(heads(key, 'key', valueHeads, keySize));
    const v = repeated(heads(value, 'value', valueHeads, valueSize));
    const mask = attentionMask(call, [stepsOf(query), stepsOf(key)], masks);
    const masked =
      mask && graph.reshape(mask, [mask.shape[0] ?? null, 1, mask.shape[1] ?? null, mask.shape[2] ?? null]);
    const softmax = maskedSoftmax(graph, graph.matmul(q, graph.transpose(k, [0, 1, 3, 2])), masked);
    // Only with dropout, Keras has shares of 0 for a step that attends to none.
    const shares = masked !== null && numberOf(call, 'dropout', 0) > 0 ? graph.mul(softmax, masked) : softmax;
    const result = graph.transpose(graph.matmul(shares, v), [0, 2, 1, 3]);
    const width = queryHeads * valueSize;
    const joined = graph.reshape(result, [null, stepsOf(query), width]);
    const [configured = null] = [call.layer.config.output_shape].flat() as (number | null | undefined)[];
    const outputs = configured ?? Number(query.shape.at(-1));
    const output = project(joined, 'attention_output', [width, outputs]);
    return graph.reshape(output, [...query.shape.slice(0, -1), outputs]);
  };

/** Attention without projections: softmax(scores of query and key) value. */
const plainLayer: LayerWriter = (call) => {
  const { graph } = call;
  const { query, value, key } = named(call, call.inputs);
  const masks = named<Tensor | null>(call, call.masks);
  const steps = [Number(query.shape[1]), Number(key.shape[1])] as const;
  const allowed = attentionMask(call, steps, { value: masks.value });
  const result = graph.matmul(maskedSoftmax(graph, scoresOf(call, query, key), allowed), value);
  return masks.query ? graph.mul(result, graph.reshape(masks.query, [...masks.query.shape, 1])) : result;
};

/** Scores of all pairs of steps: [samples, query steps, key steps]. */
function scoresOf(call: LayerCall, query: Tensor, key: Tensor): Tensor {
  const { graph, layer } = call;
  const isAdditive = layer.class_name === 'AdditiveAttention';
  const isScaled = isAdditive ? isOn(call, 'use_scale') : layer.config.use_scale === true;
  const isConcat = nameOf(call, 'score_mode', 'dot') === 'concat';
  const scaled = (x: Tensor): Tensor => (isScaled ? graph.mul(x, call.weight('scale')) : x);
  if (!isAdditive && !isConcat) return scaled(graph.matmul(query, graph.transpose(key, [0, 2, 1])));
  const [samples = null, queries = null, size = null] = query.shape;
  const [, keys = null] = key.shape;
  const sums = graph.add(
    graph.reshape(query, [samples, queries, 1, size]),
    graph.reshape(key, [samples, 1, keys, size]),
  );
  if (isAdditive) return graph.reduce('Sum', scaled(graph.unary('Tanh', sums)), [-1], false);
  const curved = graph.reduce('Sum', graph.unary('Tanh', scaled(sums)), [-1], false);
  return graph.mul(curved, call.weight('concat_score_weight'));
}

/** Attention layers. */
export const attentionLayers: LayerWriters = {
  MultiHeadAttention: headsLayer((call) => {
    const heads = numberOf(call, 'num_heads', 1);
    const keySize = numberOf(call, 'key_dim', 1);
    return { queryHeads: heads, valueHeads: heads, keySize, valueSize: numberOf(call, 'value_dim', keySize) };
  }),
  GroupQueryAttention: headsLayer((call) => {
    const size = numberOf(call, 'head_dim', 1);
    return {
      queryHeads: numberOf(call, 'num_query_heads', 1),
      valueHeads: numberOf(call, 'num_key_value_heads', 1),
      keySize: size,
      valueSize: size,
    };
  }),
  Attention: plainLayer,
  AdditiveAttention: plainLayer,
};
