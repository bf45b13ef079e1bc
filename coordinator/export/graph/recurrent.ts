import { isLayer, nestedLayers, type LayerConfig } from '../../../shared/model/keras-layer.ts';
import type { CellKind, Constant, Graph, RecurrentActivation, Tensor } from './graph.ts';
import { inputOf, isOn, nameOf, numberOf, type LayerCall, type LayerWriters } from './layer-call.ts';
import { activate } from './activations.ts';
import { settingsOf } from './convolution.ts';

/** Cell of a recurrent layer. */
interface Cell {
  readonly kind: CellKind;
  readonly units: number;
  /** Number of its states. */
  readonly states: number;
  readonly call: LayerCall;
}

const STATES: Readonly<Record<CellKind, number>> = { SimpleRNN: 1, LSTM: 2, GRU: 1 };
const GATES: Readonly<Record<CellKind, number>> = { SimpleRNN: 1, LSTM: 4, GRU: 3 };

/** Cells that a recurrent layer applies to each step, one after the other. */
function cellsOf(call: LayerCall): Cell[] {
  const { class_name: className, config } = call.layer;
  const kind = className.replace('Cell', '');
  if (kind === 'SimpleRNN' || kind === 'LSTM' || kind === 'GRU')
    return [{ kind, units: numberOf(call, 'units', 1), states: STATES[kind], call }];
  const { cell } = config;
  if (isLayer(cell)) return cellsOf(call.within(cell, call.prefix, call.inputs));
  return nestedLayers(call.layer).flatMap((inner, i) =>
    cellsOf(call.within(inner, `${call.prefix}/RNNCell_${i}`, call.inputs)),
  );
}

const resetsAfter = ({ call }: Cell): boolean => call.layer.config.reset_after === true;

/** Bias of a cell; zeros if it has none. */
function biasOf(graph: Graph, cell: Cell): Tensor {
  if (isOn(cell.call, 'use_bias')) return cell.call.weight('bias');
  const size = GATES[cell.kind] * cell.units;
  const shape = cell.kind === 'GRU' && resetsAfter(cell) ? [2, size] : [size];
  return graph.constant(new Float32Array(shape.reduce((a, b) => a * b)), shape);
}

const activations = ({ kind, call }: Cell): string[] => {
  const activation = nameOf(call, 'activation', 'tanh');
  const gate = nameOf(call, 'recurrent_activation', 'sigmoid');
  return kind === 'SimpleRNN'
    ? [activation]
    : kind === 'GRU'
      ? [gate, activation]
      : [gate, activation, activation];
};

const NATIVE: Readonly<Record<string, RecurrentActivation>> = {
  relu: 'Relu',
  sigmoid: 'Sigmoid',
  tanh: 'Tanh',
};

/** One step of a cell. @returns the next states; the first is the output */
function stepCell(graph: Graph, cell: Cell, x: Tensor, states: readonly Tensor[]): Tensor[] {
  const { kind, units, call } = cell;
  const [h, carry] = states as [Tensor, Tensor];
  const recurrent = call.weight('recurrent_kernel');
  const bias = biasOf(graph, cell);
  const act = (value: Tensor): Tensor => activate(graph, nameOf(call, 'activation', 'tanh'), value);
  const gate = (value: Tensor): Tensor =>
    activate(graph, nameOf(call, 'recurrent_activation', 'sigmoid'), value);
  const isSplit = kind === 'GRU' && resetsAfter(cell);
  const row = (i: number): Tensor => {
    const { values } = bias.constant as Constant;
    const size = 3 * units;
    return graph.constant(Float32Array.from(values.subarray(i * size, (i + 1) * size)), [size]);
  };
  const fromInputs = graph.dense(x, call.weight('kernel'), isSplit ? row(0) : bias);
  const mix = (z: Tensor, candidate: Tensor): Tensor =>
    graph.add(graph.mul(z, h), graph.mul(graph.sub(1, z), candidate));
  if (kind === 'GRU') {
    const [xZ, xR, xH] = graph.split(fromInputs, 3, 1) as [Tensor, Tensor, Tensor];
    if (isSplit) {
      const [hZ, hR, hH] = graph.split(graph.dense(h, recurrent, row(1)), 3, 1) as [Tensor, Tensor, Tensor];
      const candidate = act(graph.add(xH, graph.mul(gate(graph.add(xR, hR)), hH)));
      return [mix(gate(graph.add(xZ, hZ)), candidate)];
    }
    const [kZ, kR, kH] = columnsOf(graph, recurrent, 3) as [Tensor, Tensor, Tensor];
    const r = gate(graph.add(xR, graph.dense(h, kR, null)));
    const z = gate(graph.add(xZ, graph.dense(h, kZ, null)));
    return [mix(z, act(graph.add(xH, graph.dense(graph.mul(r, h), kH, null))))];
  }
  const sum = graph.add(fromInputs, graph.dense(h, recurrent, null));
  if (kind === 'SimpleRNN') return [act(sum)];
  const [i, f, c, o] = graph.split(sum, 4, 1) as [Tensor, Tensor, Tensor, Tensor];
  const next = graph.add(graph.mul(gate(f), carry), graph.mul(gate(i), act(c)));
  return [graph.mul(gate(o), act(next)), next];
}

/** Parts of the columns of a constant matrix. */
function columnsOf(graph: Graph, { shape, constant }: Tensor, parts: number): Tensor[] {
  const [rows, columns] = shape.map(Number) as [number, number];
  const width = columns / parts;
  return Array.from({ length: parts }, (_, part) => {
    const values = Float32Array.from({ length: rows * width }, (__, i) =>
      Number(constant?.values[Math.floor(i / width) * columns + part * width + (i % width)]),
    );
    return graph.constant(values, [rows, width]);
  });
}

/** Outputs of all steps in the order of the input, and the last states. */
interface Run {
  readonly sequence: Tensor;
  readonly states: readonly Tensor[];
}

/** Applies the cells of a recurrent layer to all steps. @param initial states; empty for zeros */
function run(call: LayerCall, initial: readonly Tensor[], isReversed: boolean): Run {
  const { graph, masks } = call;
  const x = inputOf(call);
  const cells = cellsOf(call);
  const [cell] = cells as [Cell];
  const [mask = null] = masks;
  const native = activations(cell).map((name) => NATIVE[name]);
  if (graph.dialect.hasRecurrent && cells.length === 1 && mask === null && !native.includes(undefined)) {
    const { kind, units } = cell;
    const inputs = [x, cell.call.weight('kernel'), cell.call.weight('recurrent_kernel'), biasOf(graph, cell)];
    const [sequence, ...states] = graph.recurrent([...inputs, ...initial], {
      cell: kind,
      units,
      activations: native as RecurrentActivation[],
      resetAfter: resetsAfter(cell),
      isReversed,
    }) as [Tensor, ...Tensor[]];
    return { sequence, states };
  }
  // The states of the last cell come first, so that the first one is the output.
  const order = cells.toReversed();
  const zeros = order.flatMap(({ units, states }) =>
    Array.from({ length: states }, () => graph.zeros(x, [x.shape[0] ?? null, units])),
  );
  const sequences = mask === null ? [x] : [x, graph.reshape(mask, [...mask.shape, 1])];
  const { outputs, states } = graph.scan(
    initial.length > 0 ? initial : zeros,
    sequences,
    isReversed,
    (body, before, [value, counts]) => {
      const next = stepCells(body, cells, value as Tensor, before);
      const [output] = next as [Tensor];
      if (counts === undefined) return { states: next, output };
      // A step that does not count changes nothing.
      const rest = body.sub(1, counts);
      const kept = next.map((state, i) =>
        body.add(body.mul(state, counts), body.mul(before[i] as Tensor, rest)),
      );
      return { states: kept, output: kept[0] as Tensor };
    },
  );
  return { sequence: outputs, states };
}

/** One step of cells that follow each other. @param states those of the last cell first */
function stepCells(graph: Graph, cells: readonly Cell[], x: Tensor, states: readonly Tensor[]): Tensor[] {
  let end = states.length;
  let value = x;
  let next: Tensor[] = [];
  for (const cell of cells) {
    const own = states.slice(end - cell.states, end);
    end -= cell.states;
    const changed = stepCell(graph, cell, value, own);
    value = changed[0] as Tensor;
    next = [...changed, ...next];
  }
  return next;
}

/** Outputs of a recurrent layer. @param inOrder whether steps have the order of the input even if they are computed backwards */
function outputsOf(call: LayerCall, isReversed: boolean, inOrder: boolean): Tensor[] {
  const { graph, layer, inputs, masks } = call;
  const { sequence, states } = run(call, inputs.slice(1), isReversed);
  let output = states[0] as Tensor;
  if (layer.config.return_sequences === true) {
    const [mask = null] = masks;
    const isZeroed = mask !== null && layer.config.zero_output_for_mask === true;
    output = isZeroed ? graph.mul(sequence, graph.reshape(mask, [...mask.shape, 1])) : sequence;
    if (!inOrder) output = graph.reverse(output, [1]);
  }
  return layer.config.return_state === true ? [output, ...states] : [output];
}

const recurrent = (call: LayerCall): Tensor[] => {
  const isReversed = call.layer.config.go_backwards === true;
  return outputsOf(call, isReversed, !isReversed);
};

/** Merges the outputs of both directions. */
function merge(graph: Graph, mode: string, left: Tensor, right: Tensor): Tensor {
  if (mode === 'concat') return graph.concat([left, right], left.shape.length - 1);
  if (mode === 'mul') return graph.mul(left, right);
  const sum = graph.add(left, right);
  return mode === 'ave' ? graph.mul(sum, 0.5) : sum;
}

/** ConvLSTM of some axes: an LSTM whose products are convolutions. */
const convLstm =
  (axes: number) =>
  (call: LayerCall): Tensor[] => {
    const { graph, layer } = call;
    const x = inputOf(call);
    const filters = numberOf(call, 'filters', 1);
    const { strides, dilations, pads, size } = settingsOf(call, axes, x.shape.slice(2, -1));
    const ones = size.map(() => 1);
    const sides = x.shape.slice(2, -1).map((side, i) => {
      const [before = 0, after = 0] = pads[i] ?? [];
      const reach = ((size[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1;
      return Math.floor((Number(side) + before + after - reach) / (strides[i] ?? 1)) + 1;
    });
    // A convolution without strides that keeps the sides of the state.
    const inner = size.map((length): [number, number] => [
      Math.floor((length - 1) / 2),
      Math.ceil((length - 1) / 2),
    ]);
    const bias = isOn(call, 'use_bias') ? call.weight('bias') : null;
    const state = graph.zeros(x, [x.shape[0] ?? null, ...sides, filters]);
    const isReversed = layer.config.go_backwards === true;
    const { outputs, states } = graph.scan([state, state], [x], isReversed, (body, [h, carry], [value]) => {
      const act = (tensor: Tensor): Tensor => activate(body, nameOf(call, 'activation', 'tanh'), tensor);
      const gate = (tensor: Tensor): Tensor =>
        activate(body, nameOf(call, 'recurrent_activation', 'sigmoid'), tensor);
      const how = { strides, dilations, pads, groups: 1 };
      const fromInput = body.conv(value as Tensor, call.weight('kernel'), bias, how);
      const same = { strides: ones, dilations: ones, pads: inner, groups: 1 };
      const fromState = body.conv(h as Tensor, call.weight('recurrent_kernel'), null, same);
      const [i, f, c, o] = body.split(body.add(fromInput, fromState), 4, axes + 1) as [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ];
      const next = body.add(body.mul(gate(f), carry as Tensor), body.mul(gate(i), act(c)));
      const output = body.mul(gate(o), act(next));
      return { states: [output, next], output };
    });
    // Unlike other recurrent layers, this one gives the outputs in the order of computation.
    const sequence = isReversed ? graph.reverse(outputs, [1]) : outputs;
    const output = layer.config.return_sequences === true ? sequence : (states[0] as Tensor);
    return layer.config.return_state === true ? [output, ...states] : [output];
  };

const innerLayer = (layer: LayerConfig): LayerConfig => {
  const { layer: inner } = layer.config;
  if (!isLayer(inner)) throw new Error('it has no layer inside');
  return inner;
};

/** Recurrent layers and wrappers. */
export const recurrentLayers: LayerWriters = {
  SimpleRNN: recurrent,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  ConvLSTM1D: convLstm(1),
  ConvLSTM2D: convLstm(2),
  ConvLSTM3D: convLstm(3),
  Bidirectional: (call) => {
    const { graph, layer, masks } = call;
    const inner = innerLayer(layer);
    const [x, ...states] = call.inputs as [Tensor, ...Tensor[]];
    const half = states.length / 2;
    const isReversed = inner.config.go_backwards === true;
    const direction = (
      side: string,
      own: readonly Tensor[],
      reversed: boolean,
      inOrder: boolean,
    ): Tensor[] => {
      const prefix = `${call.prefix}/${side}_${String(inner.config.name)}`;
      return outputsOf({ ...call.within(inner, prefix, [x, ...own]), masks }, reversed, inOrder);
    };
    const [forward, ...forwardStates] = direction(
      'forward',
      states.slice(0, half),
      isReversed,
      !isReversed,
    ) as [Tensor, ...Tensor[]];
    // Its steps are put in the order of those of the first layer.
    const [backward, ...backwardStates] = direction(
      'backward',
      states.slice(half),
      !isReversed,
      !isReversed,
    ) as [Tensor, ...Tensor[]];
    const merged = merge(graph, nameOf(call, 'merge_mode', 'concat'), forward, backward);
    return [merged, ...forwardStates, ...backwardStates];
  },
  TimeDistributed: (call) => {
    const { graph, layer } = call;
    const x = inputOf(call);
    const [, steps = null, ...rest] = x.shape;
    const inner = call.within(innerLayer(layer), call.prefix, [graph.reshape(x, [null, ...rest])]);
    const [output] = call.compute(inner) as [Tensor];
    return graph.reshape(output, [null, steps, ...output.shape.slice(1)]);
  },
};
