import { convertTensor, sampleSize, type TensorSpec, type TensorValues } from './tensors.ts';
import { hasActivityPenalties } from './activity-penalties.ts';
import { foldActivations } from './fold-activations.ts';
import type { Job } from './job.ts';
import { lossDefinition, sigmoid, type Activation, type RowLoss } from './losses.ts';
import type { Metric } from './metric.ts';
import { metricDefinition } from './metrics.ts';
import { customTerms, isOneHot, metricName, metricNames, outputWidth, type OutputSpec } from './outputs.ts';

/** Sums over some samples. */
export interface Score {
  /**
   * Sum, not mean, of the samples' losses: over the outputs, times the weights of outputs and samples, plus the penalties of the
   * outputs of layers.
   */
  readonly lossSum: number;
  /** Sums of the metrics, in the order of the job. */
  readonly metrics: readonly number[];
}

/** Values of a score by name. */
export interface ScoreValues {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Sum of two scores, in double precision. */
export const addScores = (left: Score, right: Score): Score => ({
  lossSum: left.lossSum + right.lossSum,
  metrics: left.metrics.map((sum, i) => sum + (right.metrics[i] as number)),
});

const divide = (dividend: number, divisor: number): number => (divisor === 0 ? 0 : dividend / divisor);

/** Largest loss of a sample: the difference of two float32 logits. */
const MAX_LOGITS_LOSS = 7e38;
/** Largest loss of a sample of other losses, of float32 values. Sums over a run stay finite in float64. */
const MAX_LOSS = 1e100;

/** Relative difference of float64 sums of the same values in another order. */
const ROUNDING = 1e-6;

const isSignedLoss = ({ loss }: OutputSpec): boolean => lossDefinition(loss.name).isSigned === true;

/** Metric of an output, and where its sums are. */
interface MetricPlan {
  readonly name: string;
  readonly metric: Metric;
  readonly index: number;
  readonly isSparse: boolean;
  /** Position of its values among those of the custom functions; null if it has no such function. */
  readonly customIndex: number | null;
  /** Position of the sum of weights; null if all samples count the same. */
  readonly totalIndex: number | null;
}

interface OutputPlan {
  readonly spec: OutputSpec;
  readonly target: TensorSpec;
  /** Values of one sample. */
  readonly size: number;
  readonly width: number;
  readonly rows: number;
  readonly activation: Activation | null;
  readonly loss: RowLoss;
  /** Whether its loss is that of logits and a class, whose size float32 limits. */
  readonly isLimited: boolean;
  readonly isSparseLoss: boolean;
  /** Position of the losses among the values of the custom functions; null if the loss has no such function. */
  readonly customIndex: number | null;
  /** Position of the sum of its losses; null if it is the only output. */
  readonly lossIndex: number | null;
  readonly metrics: readonly MetricPlan[];
  readonly needsValues: boolean;
  readonly needsProbabilities: boolean;
}

/** The part of a shard that outputs are compared with. */
interface ScoredShard {
  readonly sampleNumbers: Uint32Array;
  readonly targets: readonly TensorValues[];
  readonly weights?: Float32Array | undefined;
}

/** The part of a job that says how outputs are scored. */
export type ScoredJob = Pick<Job, 'topology' | 'outputs' | 'targets' | 'sampleWeights'>;

/** Losses and metrics of a job: computes their sums, and turns sums into values by name. */
export class Scoring {
  readonly #outputs: readonly OutputPlan[];
  /** Number of sums of all metrics. */
  readonly sums: number;
  readonly #hasWeights: boolean;
  readonly #hasPenalties: boolean;
  readonly #scratch = new Map<string, Float32Array>();
  #probabilities = new Float64Array(0);

  constructor(job: ScoredJob) {
    const { activations } = foldActivations(job);
    const isOnly = job.outputs.length === 1;
    let index = isOnly ? 0 : job.outputs.length;
    let customIndex = 0;
    this.#hasWeights = job.sampleWeights === true;
    this.#hasPenalties = hasActivityPenalties(job.topology);
    this.#outputs = job.outputs.map((spec, o) => {
      const plan = planOutput(spec, job.targets[o] as TensorSpec, activations[o] ?? null, {
        index,
        lossIndex: isOnly ? null : o,
        hasWeights: this.#hasWeights,
        customIndex,
      });
      index = plan.end;
      customIndex += customTerms([spec]).length;
      return plan.output;
    });
    this.sums = index;
  }

  /** Names of the metrics in the history, in its order; the loss is not among them. */
  get names(): readonly string[] {
    return metricNames(this.#outputs.map(({ spec }) => spec));
  }

  /** Whether the loss can be negative. */
  get isSigned(): boolean {
    return this.#outputs.some(({ spec }) => isSignedLoss(spec));
  }

  /**
   * Computes the sums over samples.
   * @param outputs of the model for each output: [samples, ...shape], logits where the activation is part of the loss; then the
   *   penalty of each sample, if outputs of layers have any; then the values of each sample of the custom functions
   */
  score(outputs: readonly ArrayLike<number>[], shard: ScoredShard): Score {
    const samples = shard.sampleNumbers.length;
    const sums = new Float64Array(this.sums);
    const custom = outputs.slice(this.#outputs.length + Number(this.#hasPenalties));
    let lossSum = 0;
    for (const [o, plan] of this.#outputs.entries()) {
      const stored = shard.targets[o] ?? new Float32Array(0);
      const { weights } = shard;
      const ownLoss = this.#scoreOutput(plan, outputs[o] ?? [], custom, stored, weights, samples, sums);
      lossSum += (plan.spec.weight ?? 1) * ownLoss;
      if (plan.lossIndex !== null) sums[plan.lossIndex] = ownLoss;
    }
    if (this.#hasPenalties) {
      const penalties = outputs[this.#outputs.length] ?? [];
      for (let s = 0; s < samples; s++) lossSum += penalties[s] as number;
    }
    return { lossSum, metrics: [...sums] };
  }

  #scoreOutput(
    plan: OutputPlan,
    output: ArrayLike<number>,
    custom: readonly ArrayLike<number>[],
    stored: TensorValues,
    weights: Float32Array | undefined,
    samples: number,
    sums: Float64Array,
  ): number {
    const { rows, width, size, loss, isSparseLoss, target } = plan;
    const values = plan.needsValues ? this.#valuesOf(plan, stored) : stored;
    const valueSize = plan.needsValues ? values.length / samples : 0;
    const classSize = sampleSize(target);
    const customLoss = plan.customIndex === null ? null : (custom[plan.customIndex] ?? []);
    let lossSum = 0;
    for (let s = 0; s < samples; s++) {
      const weight = weights?.[s] ?? 1;
      const from = s * size;
      let rowSum = 0;
      for (let r = 0; r < rows && customLoss === null; r++) {
        rowSum += isSparseLoss
          ? loss(stored, s * classSize + r, output, from + r * width, width)
          : loss(values, s * valueSize + r * width, output, from + r * width, width);
      }
      lossSum += customLoss === null ? (weight * rowSum) / rows : weight * (customLoss[s] ?? NaN);
      const probabilities = plan.needsProbabilities ? this.#activate(plan, output, from) : output;
      for (const { metric, index, isSparse, customIndex, totalIndex } of plan.metrics) {
        const factor = totalIndex === null ? 1 : weight;
        if (totalIndex !== null) sums[totalIndex] = (sums[totalIndex] as number) + weight;
        if (customIndex !== null) {
          sums[index] = (sums[index] as number) + factor * (custom[customIndex]?.[s] ?? NaN);
          continue;
        }
        const isActivated = plan.needsProbabilities && metric.takesProbabilities;
        metric.add(
          sums,
          index,
          isSparse ? stored : values,
          isSparse ? s * classSize : s * valueSize,
          isActivated ? probabilities : output,
          isActivated ? 0 : from,
          factor,
        );
      }
    }
    return lossSum;
  }

  /** Values of a target: one-hot for classes, else converted. */
  #valuesOf({ spec, target, width }: OutputPlan, stored: TensorValues): TensorValues {
    const oneHot = isOneHot(spec, target);
    if (!oneHot && target.dtype !== 'bool' && target.scale === undefined && target.offset === undefined)
      return stored;
    const length = stored.length * (oneHot ? width : 1);
    const existing = this.#scratch.get(spec.name);
    const values = existing?.length === length ? existing : new Float32Array(length);
    this.#scratch.set(spec.name, values);
    if (oneHot) writeOneHot(stored, width, values);
    else convertTensor(target, stored, values);
    return values;
  }

  /** Outputs of one sample after the last activation. */
  #activate(
    { activation, rows, width, size }: OutputPlan,
    logits: ArrayLike<number>,
    from: number,
  ): Float64Array {
    if (this.#probabilities.length < size) this.#probabilities = new Float64Array(size);
    const values = this.#probabilities;
    if (activation === 'sigmoid') {
      for (let i = 0; i < size; i++) values[i] = sigmoid(logits[from + i] as number);
      return values;
    }
    for (let r = 0; r < rows; r++) {
      const row = from + r * width;
      let max = -Infinity;
      for (let c = 0; c < width; c++) max = Math.max(max, logits[row + c] as number);
      let sum = 0;
      for (let c = 0; c < width; c++) {
        sum += values[r * width + c] = Math.exp((logits[row + c] as number) - max);
      }
      for (let c = 0; c < width; c++) values[r * width + c] = (values[r * width + c] as number) / sum;
    }
    return values;
  }

  /** Values of the metrics by name. */
  values({ metrics }: Pick<Score, 'metrics'>, samples: number): Record<string, number> {
    const values: Record<string, number> = {};
    for (const plan of this.#outputs) {
      if (plan.lossIndex !== null) {
        values[`${plan.spec.name}_loss`] = (metrics[plan.lossIndex] as number) / samples;
      }
      for (const { name, metric, index, totalIndex } of plan.metrics) {
        const total = totalIndex === null ? samples : (metrics[totalIndex] as number);
        values[name] =
          metric.value === undefined
            ? divide(metrics[index] as number, total)
            : metric.value(metrics.slice(index, index + metric.sums), total);
      }
    }
    return values;
  }

  /** Mean loss, and values of the metrics by name. */
  means(score: Score, samples: number): ScoreValues {
    return { loss: score.lossSum / samples, metrics: this.values(score, samples) };
  }

  /** Score of no samples. */
  get zero(): Score {
    return { lossSum: 0, metrics: new Array<number>(this.sums).fill(0) };
  }

  /** @returns a sentence on sums that no samples can have, or null */
  findImpossible({ lossSum, metrics }: Score, samples: number): string | null {
    const isLimited =
      this.#outputs.every((plan) => plan.isLimited) && !this.#hasWeights && !this.#hasPenalties;
    const maxLoss = samples * (isLimited ? MAX_LOGITS_LOSS * this.#outputs.length : MAX_LOSS);
    if (!(Math.abs(lossSum) <= maxLoss) || (lossSum < 0 && !this.isSigned)) {
      return `A loss of ${lossSum} is not possible.`;
    }
    if (metrics.length !== this.sums)
      return `An answer has ${this.sums} sums of metrics, not ${metrics.length}.`;
    const isPossible = (sum: number, i: number): boolean =>
      Number.isFinite(sum) || (Number.isNaN(sum) && this.#canBeNaN(i));
    if (!metrics.every(isPossible)) return 'A sum of a metric is not finite.';
    const huge = metrics.find((sum) => Math.abs(sum) > samples * MAX_LOSS);
    if (huge !== undefined) return `A sum of ${huge} for a metric is not possible.`;
    const plans = this.#outputs.flatMap((plan) => plan.metrics);
    return (
      this.#findWrongLoss(lossSum, metrics) ??
      plans.map((plan) => findWrongSum(plan, metrics, samples)).find((problem) => problem !== null) ??
      null
    );
  }

  /** Whether a sum may be NaN: Keras has metrics that are not defined for some outputs, such as the logarithm of a negative one. */
  #canBeNaN(index: number): boolean {
    return this.#outputs.some((output) =>
      output.metrics.some(
        ({ metric, index: first }) =>
          metric.kind === 'value' && index >= first && index < first + metric.sums,
      ),
    );
  }

  /** @returns a sentence if the losses of several outputs are not those that the loss is the sum of, or null */
  #findWrongLoss(lossSum: number, metrics: readonly number[]): string | null {
    if (this.#outputs.length === 1) return null;
    let expected = 0;
    let size = 0;
    for (const { spec, lossIndex } of this.#outputs) {
      const own = metrics[lossIndex ?? 0] as number;
      if (own < 0 && !isSignedLoss(spec)) return `A loss of ${own} for ${spec.name} is not possible.`;
      expected += (spec.weight ?? 1) * own;
      size += Math.abs((spec.weight ?? 1) * own);
    }
    return Math.abs(lossSum - expected) <= ROUNDING * size
      ? null
      : `A loss of ${lossSum} is not possible, as those of the outputs are ${expected}.`;
  }

  /** Sums that count samples or outputs, and their largest value for a sample; for comparisons of answers. */
  get counts(): readonly { readonly name: string; readonly index: number; readonly maxPerSample: number }[] {
    return this.#outputs.flatMap(({ metrics }) =>
      metrics.flatMap(({ metric, index, name, totalIndex }) =>
        metric.kind !== 'count' || totalIndex !== null
          ? []
          : Array.from({ length: metric.sums }, (_, i) => ({
              name,
              index: index + i,
              maxPerSample: metric.maxPerSample,
            })),
      ),
    );
  }

  /** Sums of losses and of metrics that are errors, which are never negative; for comparisons of answers. */
  get errors(): readonly { readonly name: string; readonly index: number }[] {
    return this.#outputs.flatMap(({ spec, lossIndex, metrics }) => [
      ...(lossIndex === null || isSignedLoss(spec) ? [] : [{ name: `${spec.name}_loss`, index: lossIndex }]),
      ...metrics
        .filter(({ metric }) => metric.kind === 'value')
        .flatMap(({ name, index, metric: { sums, signedSums } }) =>
          Array.from({ length: sums - signedSums }, (_, i) => ({ name, index: index + i })),
        ),
    ]);
  }

  /** Loss of a model that guesses, if it is known; Infinity if the loss can be negative, null if it is not known. */
  get chanceLoss(): number | null {
    if (this.isSigned) return Infinity;
    const [output, ...others] = this.#outputs;
    if (output === undefined || others.length > 0 || this.#hasWeights || this.#hasPenalties) return null;
    const { activation, options } = lossDefinition(output.spec.loss.name);
    const isEntropy = activation !== undefined && !options.includes('gamma');
    return isEntropy ? Math.log(Math.max(2, output.width)) : null;
  }
}

/** @returns a sentence on sums of a metric that no samples can have, or null */
function findWrongSum(
  { metric, index, totalIndex, name }: MetricPlan,
  metrics: readonly number[],
  samples: number,
): string | null {
  const own = metrics.slice(index, index + metric.sums);
  if (own.slice(0, metric.sums - metric.signedSums).some((sum) => sum < 0))
    return `A sum of ${name} is negative.`;
  const total = totalIndex === null ? samples : (metrics[totalIndex] as number);
  if (total < 0) return `A sum of the weights of ${name} is negative.`;
  const rounding = totalIndex === null ? 0 : ROUNDING * total * metric.maxPerSample;
  const max = total * metric.maxPerSample;
  // Each output is in one bucket of a histogram.
  const sums = metric.kind === 'histogram' ? [own.reduce((sum, value) => sum + value, 0)] : own;
  const wrong = sums.find(
    (sum) => sum > max + rounding || (metric.kind === 'histogram' && sum < max - rounding),
  );
  if (wrong === undefined) return null;
  return metric.maxPerSample === 1 && name === 'accuracy'
    ? `${wrong} of ${total} samples cannot be correct.`
    : `A sum of ${wrong} for ${name} of ${samples} samples is not possible.`;
}

/** Writes 1 for each class and 0 for the others. @param target [classes, width] */
export function writeOneHot(classes: TensorValues, width: number, target: Float32Array): void {
  target.fill(0);
  for (let i = 0; i < classes.length; i++) target[i * width + (classes[i] as number)] = 1;
}

function planOutput(
  spec: OutputSpec,
  target: TensorSpec,
  activation: Activation | null,
  at: {
    readonly index: number;
    readonly lossIndex: number | null;
    readonly hasWeights: boolean;
    readonly customIndex: number;
  },
): { output: OutputPlan; end: number } {
  const width = outputWidth(spec);
  const size = sampleSize(spec);
  const rows = size / width;
  const definition = lossDefinition(spec.loss.name);
  const isLogits = spec.loss.fromLogits === true || activation !== null;
  let { index, customIndex } = at;
  const isCustomLoss = spec.loss.function !== undefined;
  if (isCustomLoss) customIndex++;
  const metrics = spec.metrics.map((metricSpec): MetricPlan => {
    const { name, weighted = false, ...options } = metricSpec;
    const metric = metricDefinition(name)?.create(options, { rows, width, activation });
    if (metric === undefined) throw new Error(`There is no metric ${name}.`);
    const isWeighted = weighted && at.hasWeights;
    const plan = {
      name: metricName(spec, metricSpec, at.lossIndex === null),
      metric,
      index,
      isSparse: metricDefinition(name)?.isSparse === true,
      customIndex: metricSpec.function === undefined ? null : customIndex++,
      totalIndex: isWeighted ? index + metric.sums : null,
    };
    index += metric.sums + (isWeighted ? 1 : 0);
    return plan;
  });
  const output = {
    spec,
    target,
    size,
    width,
    rows,
    activation,
    loss: definition.create(spec.loss, isLogits),
    isLimited: isLogits && definition.isSparse === true && (spec.weight ?? 1) <= 1,
    isSparseLoss: definition.isSparse === true,
    customIndex: isCustomLoss ? at.customIndex : null,
    lossIndex: at.lossIndex,
    metrics,
    needsValues: definition.isSparse !== true || metrics.some(({ isSparse }) => !isSparse),
    needsProbabilities:
      activation !== null &&
      metrics.some(({ metric, customIndex: own }) => metric.takesProbabilities && own === null),
  };
  return { output, end: index };
}
