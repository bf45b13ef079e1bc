import { sliceShard, type Shard } from '../../../shared/data/shard.ts';
import type { ShardResult } from '../../../shared/engine/engine.ts';
import type { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import { addScores, type Scoring } from '../../../shared/model/scoring.ts';
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
  readonly scoring: Scoring;
  /** Values of one sample in each output, as ModelStep has them. */
  readonly outputWidths: readonly number[];
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
      const modelOutputs =
        this.#runSplitGraph(inputs, length, parts, sum) ?? this.#runPerMicroShard(inputs, parts, sum);
      if (modelOutputs === null) return null;
      read(sum.total());
      return this.#scores(modelOutputs, shard, parts);
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

  /** Checks that a graph of all micro-shards has the bits of single micro-shards, in gradients and outputs of the model. */
  checkSplitGraph(samples: number): GraphCheck {
    return (graph, inputs) => {
      const { shapes, microShardSizes } = this.#options;
      const sum = new NativePairwiseSum(shapes.length);
      try {
        const modelOutputs = this.#runPerMicroShard(inputs, microShardSizes(samples), sum);
        const expected = sum.total();
        const outputs = graph.run(inputs.values(), inputs);
        const isEqual =
          modelOutputs !== null &&
          modelOutputs.every((values, i) => sameBits(outputs.read(shapes.length + i), values)) &&
          shapes.every((_, i) => sameBits(outputs.read(i), expected.read(i)));
        outputs.dispose();
        return isEqual ? null : 'the graph has other bits';
      } finally {
        sum.dispose();
      }
    };
  }

  /** @returns the model's outputs, [samples, ...shape] each, or null if there is no such graph */
  #runSplitGraph(
    inputs: ShardInputs,
    samples: number,
    parts: readonly number[],
    sum: NativePairwiseSum,
  ): Float32Array[] | null {
    const { graphs } = this.#options;
    // Kernels may compute the rows of a short micro-shard, of one or an odd number of samples, with other bits.
    if (parts.length === 1 || parts.at(-1) !== parts[0]) return null;
    const graph = graphs.get('cut', samples);
    if (graph === undefined) {
      graphs.request('cut', samples);
      return null;
    }
    try {
      const outputs = graph.run(inputs.values(), inputs);
      const modelOutputs = this.#readOutputs(outputs);
      sum.push(outputs);
      return modelOutputs;
    } catch (error) {
      graphs.disable('cut', error);
      return null;
    }
  }

  /** @returns the model's outputs, [samples, ...shape] each, or null if there is no such graph */
  #runPerMicroShard(
    inputs: ShardInputs,
    parts: readonly number[],
    sum: NativePairwiseSum,
  ): Float32Array[] | null {
    const { graphs, outputWidths } = this.#options;
    const samples = parts.reduce((total, part) => total + part, 0);
    const modelOutputs = outputWidths.map((width) => new Float32Array(samples * width));
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
      for (const [i, values] of this.#readOutputs(outputs).entries()) {
        modelOutputs[i]?.set(values, from * (outputWidths[i] ?? 0));
      }
      sum.push(outputs, addingGraph !== undefined);
      from += part;
    }
    inputs.select(0, samples);
    return modelOutputs;
  }

  /** Reads the model's outputs, which follow the tensors of the gradient. */
  #readOutputs(outputs: NativeTensors): Float32Array[] {
    const { shapes, outputWidths } = this.#options;
    return outputWidths.map((_, i) => outputs.read(shapes.length + i));
  }

  #scores(modelOutputs: readonly Float32Array[], shard: Shard, parts: readonly number[]): ShardResult {
    const { scoring, outputWidths } = this.#options;
    const scores = new PairwiseSum(addScores);
    let from = 0;
    for (const part of parts) {
      const to = from + part;
      const own = modelOutputs.map((values, i) => {
        const width = outputWidths[i] ?? 0;
        return values.subarray(from * width, to * width);
      });
      scores.push(scoring.score(own, sliceShard(shard, from, to)));
      from = to;
    }
    return scores.total();
  }
}
