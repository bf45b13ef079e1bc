import { beforeEach, expect, test } from 'vitest';
import { type Shard, sliceShard } from '../../../../shared/data/shard.ts';
import type { ShardResult } from '../../../../shared/engine/engine.ts';
import { microShardSizes } from '../../../../shared/engine/micro-shards.ts';
import { ShardInputs } from '../../../../shared/engine/shard-inputs.ts';
import type { Job } from '../../../../shared/model/job.ts';
import { addScores, Scoring } from '../../../../shared/model/scoring.ts';
import { PairwiseSum } from '../../../../shared/model/pairwise-sum.ts';
import type { Step } from '../../../../shared/protocol/messages.ts';
import type { Binding } from '../../../../worker-node/engine/native/backend.ts';
import { ExactGradients } from '../../../../worker-node/engine/native/exact-gradients.ts';
import { NativeTensors } from '../../../../worker-node/engine/native/native-tensors.ts';
import { manualIdle } from '../../../../worker-node/engine/native/idle-scheduler.ts';
import {
  type GraphKind,
  type StepGraph,
  type GraphCheck,
  noiseShard,
} from '../../../../worker-node/engine/native/step-capture.ts';
import { StepGraphs } from '../../../../worker-node/engine/native/step-graphs.ts';
import { exampleJob } from '../../../shared/protocol/examples.ts';
import { imageTensors } from '../../../../shared/model/tensors.ts';
import { classOutput } from '../../../../shared/model/stored-job.ts';

// A fake TensorFlow, whose graphs have the bits of micro-shards or other bits: tests both results of each check on any
// processor.
const MICRO_SHARD = 2;
const CLASSES = 3;
const SHAPES = [[3], [2, 2]];
const sampleShape = [2, 2, 1];
const job: Job = {
  ...exampleJob,
  microShard: MICRO_SHARD,
  batchSize: 16,
  ...imageTensors(sampleShape, CLASSES),
  outputs: [classOutput('d', CLASSES)],
};
const shardOf = (samples: number): Shard => noiseShard(job, samples, 7);

let tensors: Map<number, Float32Array>;
let runs: string[];
beforeEach(() => {
  tensors = new Map();
  runs = [];
});

let nextId = 1;
const hold = (values: Float32Array): number => {
  tensors.set(nextId, values);
  return nextId++;
};
const valuesOf = (id: number): Float32Array => {
  const values = tensors.get(id);
  if (values === undefined) throw new Error('This tensor was disposed of.');
  return values;
};
const add = (left: Float32Array, right: Float32Array): Float32Array =>
  left.map((value, i) => value + (right[i] ?? NaN));
const binding = {
  TF_FLOAT: 1,
  createTensor: (_shape: number[], _dtype: number, values: Float32Array) => hold(values.slice()),
  deleteTensor: (id: number) => void tensors.delete(id),
  tensorDataSync: (id: number) => valuesOf(id).slice(),
  executeOp: (_name: string, _attributes: unknown, [left = 0, right = 0]: number[]) => [
    { id: hold(add(valuesOf(left), valuesOf(right))), shape: [], dtype: 1 },
  ],
} as unknown as Binding;

/** Gradient of samples, added one by one, and their logits. */
function gradientOf(images: Float32Array, samples: number): Float32Array[] {
  const pixels = images.length / samples;
  const parts = SHAPES.map(([first = 0, second = 1]) => new Float32Array(first * second));
  const logits = new Float32Array(samples * CLASSES);
  for (let sample = 0; sample < samples; sample++) {
    const pixel = (i: number): number => images[sample * pixels + (i % pixels)] ?? NaN;
    parts.forEach((part, p) => part.forEach((sum, i) => (part[i] = sum + pixel(i + p) / (3 + i))));
    for (let i = 0; i < CLASSES; i++) logits[sample * CLASSES + i] = pixel(i) * 2 - 1;
  }
  return [...parts, logits];
}

/** Gradient of a whole shard by micro-shards, as exact mode defines it. */
function definedGradient(images: Float32Array, samples: number): Float32Array[] {
  const pixels = images.length / samples;
  const sums = SHAPES.map(() => new PairwiseSum(add));
  const logits: number[] = [];
  let from = 0;
  for (const part of microShardSizes(samples, MICRO_SHARD)) {
    const own = gradientOf(images.subarray(from * pixels, (from + part) * pixels), part);
    sums.forEach((sum, i) => sum.push(own[i] as Float32Array));
    logits.push(...(own[SHAPES.length] ?? []));
    from += part;
  }
  return [...sums.map((sum) => sum.total()), Float32Array.from(logits)];
}

/** Change of the results of one kind of graph. */
interface Fault {
  readonly kind: GraphKind;
  readonly change: (outputs: Float32Array[], images: Float32Array, samples: number) => void;
}

const flipLastBit =
  (output: number): Fault['change'] =>
  (outputs) => {
    const values = (outputs[output] ?? new Float32Array(1)).slice();
    const bits = new Uint32Array(values.buffer);
    bits[bits.length - 1] = (bits.at(-1) ?? 0) ^ 1;
    outputs[output] = values;
  };

function graphOf(kind: GraphKind, samples: number, fault: Fault | undefined): StepGraph {
  return {
    dispose: () => undefined,
    run: ([images = new Float32Array(0)], _inputs, left) => {
      runs.push(`${kind} ${samples}`);
      const outputs = (kind === 'cut' ? definedGradient : gradientOf)(images, samples);
      left?.ids(SHAPES.length).forEach((id, i) => {
        outputs[i] = add(valuesOf(id), outputs[i] as Float32Array);
      });
      if (fault?.kind === kind) fault.change(outputs, images, samples);
      return new NativeTensors(
        binding,
        outputs.map((values) => ({ id: hold(values), shape: [], dtype: 1 })),
      );
    },
  };
}

function setUp(fault?: Fault) {
  const notes: string[] = [];
  const idle = manualIdle();
  const options = { idle, note: (line: string) => void notes.push(line) };
  const trialOf = (kind: GraphKind, samples: number): GraphCheck | undefined => {
    if (kind === 'added') return exact.checkAccumulatingGraph(samples);
    return kind === 'cut' ? exact.checkSplitGraph(samples) : undefined;
  };
  const graphs = new StepGraphs(job, options, {
    accumulates: true,
    capture: (kind, samples) => {
      const graph = graphOf(kind, samples, fault);
      const inputs = new ShardInputs(job);
      inputs.prepare(1 as Step, noiseShard(job, samples, 1));
      const failure = trialOf(kind, samples)?.(graph, inputs) ?? null;
      if (failure !== null) throw new Error(failure);
      return graph;
    },
  });
  const exact = new ExactGradients({
    binding,
    graphs,
    shapes: SHAPES,
    scoring: new Scoring(job),
    outputWidths: [CLASSES],
    microShardSizes: (samples) => microShardSizes(samples, MICRO_SHARD),
  });
  const inputs = new ShardInputs(job);

  /** @returns the gradient's tensors and the scores, and the graphs that ran */
  const compute = (shard: Shard) => {
    inputs.prepare(2 as Step, shard);
    runs.length = 0;
    const parts: Float32Array[] = [];
    const result = exact.compute(inputs, shard, (sums) => SHAPES.forEach((_, i) => parts.push(sums.read(i))));
    return { parts, result, runs: [...runs] };
  };

  /** Expected gradient and scores. */
  const defined = (shard: Shard): { parts: Float32Array[]; result: ShardResult } => {
    inputs.prepare(2 as Step, shard);
    const all = definedGradient(inputs.values()[0]!, shard.sampleNumbers.length);
    const logits = all[SHAPES.length] ?? new Float32Array(0);
    const scores = new PairwiseSum(addScores);
    let from = 0;
    for (const part of microShardSizes(shard.sampleNumbers.length, MICRO_SHARD)) {
      const own = logits.subarray(from * CLASSES, (from + part) * CLASSES);
      scores.push(new Scoring(job).score([own], sliceShard(shard, from, from + part)));
      from += part;
    }
    return { parts: all.slice(0, SHAPES.length), result: scores.total() };
  };
  return { idle, notes, compute, defined };
}

const CUT_FAILED = 'A shard runs micro-shard by micro-shard, because it cannot be captured as a graph: ';
const ADDED_FAILED = 'The sum of two gradients runs op by op, because it cannot be captured as a graph: ';
const pairs = (samples: number): string[] =>
  microShardSizes(samples, MICRO_SHARD).map((part, i) => `${i % 2 === 1 ? 'added' : 'gradient'} ${part}`);

test('the order in which micro-shards are added changes the bits', () => {
  const [tree, row] = [definedGradient, gradientOf].map((gradient) => {
    const inputs = new ShardInputs(job);
    inputs.prepare(2 as Step, shardOf(16));
    return gradient(inputs.values()[0]!, 16);
  });
  expect(tree).not.toEqual(row);
});

test.each([4, 6, 10, 16])(
  '%d samples: one graph for all micro-shards is used where it gives their bits, once it has been tried',
  (samples) => {
    const { idle, notes, compute, defined } = setUp();
    const shard = shardOf(samples);
    compute(shard);
    expect(compute(shard)).toEqual({ ...defined(shard), runs: pairs(samples) });
    expect(idle.pending()).toBe(1);
    idle.run();
    expect(compute(shard)).toEqual({ ...defined(shard), runs: [`cut ${samples}`] });
    expect([notes, tensors.size, idle.pending()]).toEqual([[], 0, 0]);
  },
);

test.each([2, 3, 7])(
  '%d samples, of one micro-shard or with a short one, have no graph for all micro-shards',
  (samples) => {
    const { idle, notes, compute, defined } = setUp();
    const shard = shardOf(samples);
    compute(shard);
    expect(compute(shard)).toEqual({ ...defined(shard), runs: pairs(samples) });
    expect([notes, tensors.size, idle.pending()]).toEqual([[], 0, 0]);
  },
);

const places = [
  ['the first tensor', 0],
  ['the last tensor', SHAPES.length - 1],
  ['the logits', SHAPES.length],
] as const;

test.each(places)(
  'one graph for all micro-shards is not used if one bit differs in %s: they run one by one',
  (_, output) => {
    const { idle, notes, compute, defined } = setUp({ kind: 'cut', change: flipLastBit(output) });
    const shard = shardOf(6);
    compute(shard);
    idle.run();
    expect(notes).toEqual([`${CUT_FAILED}the graph has other bits.`]);
    for (let i = 0; i < 2; i++) expect(compute(shard)).toEqual({ ...defined(shard), runs: pairs(6) });
    expect([tensors.size, idle.pending()]).toEqual([0, 0]);
  },
);

test.each(places)('a graph that adds is not used if one bit differs in %s', (_, output) => {
  const { idle, notes, compute, defined } = setUp({ kind: 'added', change: flipLastBit(output) });
  const shard = shardOf(6);
  compute(shard);
  expect(notes).toEqual([`${ADDED_FAILED}the graph adds with other bits.`]);
  const runs = ['gradient 2', 'gradient 2', 'gradient 2'];
  expect(compute(shard)).toEqual({ ...defined(shard), runs });
  idle.run();
  expect(compute(shard)).toEqual({ ...defined(shard), runs: ['cut 6'] });
  expect([notes.length, tensors.size]).toEqual([1, 0]);
});

test('if the graph for all micro-shards fails, they run one by one', () => {
  let isBroken = false;
  const fail = (): void => {
    if (isBroken) throw new Error('no memory');
  };
  const { idle, notes, compute, defined } = setUp({ kind: 'cut', change: fail });
  const shard = shardOf(6);
  compute(shard);
  idle.run();
  isBroken = true;
  expect(compute(shard)).toEqual({ ...defined(shard), runs: ['cut 6', ...pairs(6)] });
  expect(compute(shard)).toEqual({ ...defined(shard), runs: pairs(6) });
  expect([notes, tensors.size]).toEqual([[`${CUT_FAILED}no memory.`], 0]);
});
