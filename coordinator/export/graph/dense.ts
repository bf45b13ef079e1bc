import { fromFirst, type Graph, type Tensor } from './graph.ts';
import { inputOf, isOn, numberOf, type LayerWriters } from './layer-call.ts';
import { activateLayer } from './activations.ts';

/** Shape with axes of length 1 after the samples, as Keras aligns inputs of different ranks. */
function withRank(graph: Graph, x: Tensor, rank: number): Tensor {
  const [samples = null, ...rest] = x.shape;
  const ones = Array.from({ length: rank - x.shape.length }, () => 1);
  return ones.length === 0 ? x : graph.reshape(x, [samples, ...ones, ...rest]);
}

const merging =
  (merge: (graph: Graph, left: Tensor, right: Tensor) => Tensor): LayerWriters[string] =>
  ({ graph, inputs }) => {
    const rank = Math.max(...inputs.map(({ shape }) => shape.length));
    return inputs.map((x) => withRank(graph, x, rank)).reduce((left, right) => merge(graph, left, right));
  };

/** x divided by its norm along an axis, as Dot does it. */
function normalize(graph: Graph, x: Tensor, axis: number): Tensor {
  const squares = graph.reduce('Sum', graph.mul(x, x), [axis], true);
  return graph.div(x, graph.unary('Sqrt', graph.binary('Max', squares, 1e-7)));
}

/** Layers that multiply, add and join. */
export const denseLayers: LayerWriters = {
  Dense: (call) => {
    const bias = isOn(call, 'use_bias') ? call.weight('bias') : null;
    return activateLayer(call, call.graph.dense(inputOf(call), call.weight('kernel'), bias));
  },
  EinsumDense: (call) => {
    const { graph, layer } = call;
    const equation = String(layer.config.equation).replaceAll(' ', '');
    const product = graph.einsum(equation, inputOf(call), call.weight('kernel'));
    const biased =
      typeof layer.config.bias_axes === 'string' ? graph.add(product, call.weight('bias')) : product;
    return activateLayer(call, biased);
  },
  Embedding: (call) => call.graph.gather(call.weight('embeddings'), call.graph.toIntegers(inputOf(call)), 0),
  Add: merging((graph, left, right) => graph.add(left, right)),
  Subtract: merging((graph, left, right) => graph.sub(left, right)),
  Multiply: merging((graph, left, right) => graph.mul(left, right)),
  Maximum: merging((graph, left, right) => graph.binary('Max', left, right)),
  Minimum: merging((graph, left, right) => graph.binary('Min', left, right)),
  Average: (call) => {
    const sum = [merging((graph, left, right) => graph.add(left, right))(call)].flat()[0] as Tensor;
    return call.graph.mul(sum, 1 / call.inputs.length);
  },
  Concatenate: (call) => {
    const { graph, inputs } = call;
    return graph.concat(inputs, fromFirst(numberOf(call, 'axis', -1), inputOf(call).shape.length));
  },
  Dot: (call) => {
    const { graph, layer, inputs } = call;
    const axes = layer.config.axes as number | number[];
    const operands = inputs.map((x, i) => {
      const axis = fromFirst([axes].flat()[i] ?? [axes].flat()[0] ?? -1, x.shape.length);
      return { axis, x: layer.config.normalize === true ? normalize(graph, x, axis) : x };
    });
    const [a, b] = operands as [(typeof operands)[0], (typeof operands)[0]];
    // The samples are n, the axis of the products is k.
    const letters = ({ x, axis }: typeof a, free: string): string =>
      x.shape.map((_, i) => (i === 0 ? 'n' : i === axis ? 'k' : free[i])).join('');
    const [left, right] = [letters(a, '.abc'), letters(b, '.def')];
    const output = `n${`${left}${right}`.replaceAll(/[nk]/g, '')}`;
    const product = graph.einsum(`${left},${right}->${output}`, a.x, b.x);
    return output === 'n' ? graph.reshape(product, [null, 1]) : product;
  },
  Rescaling: (call) => {
    const { graph } = call;
    return graph.add(graph.mul(inputOf(call), numberOf(call, 'scale', 1)), numberOf(call, 'offset', 0));
  },
  Masking: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const differs = graph.sub(1, graph.compare('Equal', x, numberOf(call, 'mask_value', 0)));
    return graph.mul(x, graph.reduce('Max', differs, [-1], true));
  },
};
