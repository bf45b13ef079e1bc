import type { Shard } from '../../../shared/data/shard.ts';
import type { TensorValues } from '../../../shared/model/tensors.ts';
import type { ShardResult } from '../../../shared/engine/engine.ts';
import type { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import { addScores, labelsOf, scoreLogits } from '../../../shared/model/loss.ts';
import { PairwiseSum } from '../../../shared/model/pairwise-sum.ts';
import type { Binding } from './backend.ts';
import { NativePairwiseSum, type NativeTensors } from './native-tensors.ts';
import type { GraphCheck } from './step-capture.ts';
import type { StepGraphs } from './step-graphs.ts';
import { graphAddMatches, sameBits } from './rounding-check.ts';

export interface ExactGradientsOptions {
  readonly binding: Binding;
  readonly graphs: StepGraphs;
  /** Shapes of the model's tensors. */
  readonly shapes: readonly (readonly number[])[];
  readonly classes: number;
  /** Samples of each micro-shard; the last one may be short. */
  readonly microShardSizes: (samples: number) => readonly number[];
}

/**
 * Computes gradients by micro-shards and adds them inside TensorFlow: with one graph for all micro-shards of a shard if that has
 * the same bits, else one after the other.
 */
export class ExactGradients {
  readonly #options: ExactGradientsOptions;

  constructor(options: ExactGradientsOptions) {
    this.#options = options;
  }

  /**
   * @param inputs prepared for the shard
   * @param read reads the tensors of the gradient, which are disposed of afterwards
   * @returns null if micro-shards of these sizes have no graphs
   */
  compute(inputs: ShardInputs, shard: Shard, read: (sums: NativeTensors) => void): ShardResult | null {
    const parts = this.#options.microShardSizes(shard.sampleNumbers.length);
    const sum = new NativePairwiseSum(this.#options.shapes.length);
    try {
      const { length } = shard.sampleNumbers;
      const logits =
        this.#runSplitGraph(inputs, length, parts, sum) ?? this.#runPerMicroShard(inputs, parts, sum);
      if (logits === null) return null;
      read(sum.total());
      return this.#scores(logits, labelsOf(shard), parts);
    } finally {
      sum.dispose();
    }
  }

  /** Checks that a graph adds to a gradient with the same bits as TensorFlow outside of graphs. */
  checkAccumulatingGraph(samples: number): GraphCheck {
    return (graph, inputs) => {
      const { binding, graphs, shapes } = this.#options;
      const right = graphs.get('gradient', samples)?.run(inputs.values(), inputs);
      const isEqual =
        right !== undefined &&
        graphAddMatches(binding, shapes, right, (left) => graph.run(inputs.values(), inputs, left));
      return isEqual ? null : 'the graph adds with other bits';
    };
  }

  /** Checks that a graph of all micro-shards has the bits of single micro-shards, in gradients and logits. */
  checkSplitGraph(samples: number): GraphCheck {
    return (graph, inputs) => {
      const { shapes, microShardSizes } = this.#options;
      const sum = new NativePairwiseSum(shapes.length);
      try {
        const logits = this.#runPerMicroShard(inputs, microShardSizes(samples), sum);
        const expected = sum.total();
        const outputs = graph.run(inputs.values(), inputs);
        const isEqual =
          logits !== null &&
          sameBits(outputs.read(shapes.length), logits) &&
          shapes.every((_, i) => sameBits(outputs.read(i), expected.read(i)));
        outputs.dispose();
        return isEqual ? null : 'the graph has other bits';
      } finally {
        sum.dispose();
      }
    };
  }

  /** @returns the logits [samples, classes], or null if there is no such graph */
  #runSplitGraph(
    inputs: ShardInputs,
    samples: number,
    parts: readonly number[],
    sum: NativePairwiseSum,
  ): Float32Array | null {
    const { graphs, shapes } = this.#options;
    // Kernels may compute the rows of a short micro-shard, of one or an odd number of samples, with other bits.
    if (parts.length === 1 || parts.at(-1) !== parts[0]) return null;
    const graph = graphs.get('cut', samples);
    if (graph === undefined) {
      graphs.request('cut', samples);
      return null;
    }
    try {
      const outputs = graph.run(inputs.values(), inputs);
      const logits = outputs.read(shapes.length);
      sum.push(outputs);
      return logits;
    } catch (error) {
      graphs.disable('cut', error);
      return null;
    }
  }

  /** @returns the logits [samples, classes], or null if there is no such graph */
  #runPerMicroShard(
    inputs: ShardInputs,
    parts: readonly number[],
    sum: NativePairwiseSum,
  ): Float32Array | null {
    const { graphs, shapes, classes } = this.#options;
    const samples = parts.reduce((total, part) => total + part, 0);
    const logits = new Float32Array(samples * classes);
    let from = 0;
    for (const part of parts) {
      const gradient = graphs.get('gradient', part);
      if (gradient === undefined) return null;
      const { pendingLeft } = sum;
      const addingGraph = pendingLeft === null ? undefined : graphs.get('added', part);
      inputs.select(from, part);
      const outputs =
        addingGraph === undefined || pendingLeft === null
          ? gradient.run(inputs.values(), inputs)
          : addingGraph.run(inputs.values(), inputs, pendingLeft);
      logits.set(outputs.read(shapes.length), from * classes);
      sum.push(outputs, addingGraph !== undefined);
      from += part;
    }
    inputs.select(0, samples);
    return logits;
  }

  #scores(logits: Float32Array, labels: TensorValues, parts: readonly number[]): ShardResult {
    const { classes } = this.#options;
    const scores = new PairwiseSum(addScores);
    let from = 0;
    for (const part of parts) {
      const to = from + part;
      const partLogits = logits.subarray(from * classes, to * classes);
      scores.push(scoreLogits(partLogits, labels.subarray(from, to), classes));
      from = to;
    }
    return scores.total();
  }
}
