import type { Layout, Slice } from '../../shared/model/layout.ts';
import type { OptimizerSettings } from '../../shared/model/optimizer-settings.ts';
import type { Range } from '../../shared/util/range.ts';
import { adadelta } from './adadelta.ts';
import { adagrad } from './adagrad.ts';
import { adam } from './adam.ts';
import { adamax } from './adamax.ts';
import { adamw } from './adamw.ts';
import { residentVectors, type VectorKernels } from './kernels/vector.ts';
import { lamb } from './lamb.ts';
import { lion } from './lion.ts';
import { muon } from './muon.ts';
import { nadam } from './nadam.ts';
import { Plateau } from './plateau.ts';
import { changesGradient, clipGradient, takeMean, type TensorPart } from './prepare-gradient.ts';
import { rmsprop } from './rmsprop.ts';
import { createSchedule } from './schedules.ts';
import { sgd } from './sgd.ts';
import { constrain, sumPenalties } from './tensor-rules.ts';
import { f32, type OptimizerState, type UpdateRule } from './update-rule.ts';
import { findCutRange, updatesWholeTensors, wholeRanges, type WholeRange } from './whole-gradient.ts';

/** A step whose gradient is applied. */
export interface AppliedStep {
  /** Number of the step, from 0. The learning rate and the bias corrections of a rule follow from it. */
  readonly step: number;
  /** Samples that the gradient sum is over; their mean gradient is applied. */
  readonly samples: number;
}

/**
 * Weights that each step updates in a transaction. An update may be applied bucket by bucket while other buckets are still being
 * computed; until it is committed, it can be rolled back.
 *
 * @example
 * optimizer.begin();
 * optimizer.apply({ step, samples: 128 }, { from: 1000, to: 5000 }); // the last layers
 * optimizer.apply({ step, samples: 128 }, { from: 0, to: 1000 });
 * optimizer.commit(); // or rollback()
 */
export interface Optimizer {
  /** Flat vector, including the updates of the open transaction. */
  readonly weights: Float32Array;
  /** Weights of the last committed step. Read only. */
  readonly committedWeights: Float32Array;
  /** Weights to evaluate, save and show: the moving average of the trained ones if there is one, else `committedWeights`. */
  readonly averagedWeights: Float32Array;
  /** Vector that a step's gradients are summed into. */
  readonly gradientSum: Float32Array;
  readonly state: OptimizerState;
  /** Whether `weights` are the next step's after apply(), so that workers are sent them ahead. @default true */
  readonly publishes?: boolean;
  /** Schedule that follows the scores of epochs; null if there is none. */
  readonly plateau: Plateau | null;
  /** Penalty of the model's regularizers for some weights, which is part of the loss; 0 without any. @default the current weights */
  penalty(weights?: Float32Array): number;
  /** Learning rate of a step, in float32. @param step from 0 */
  learningRateAt(step: number): number;
  /** Sets the learning rate of all later steps. @throws Error if a schedule sets it */
  setLearningRate(learningRate: number): void;
  /** Whether a step's gradient has to be applied at once, if it would be cut at these offsets. */
  needsWholeGradient(offsets: readonly number[]): boolean;
  /** Starts a transaction: copies weights and state, which takes about a millisecond for a million weights. */
  begin(): void;
  /**
   * Applies a range of the gradient sum. Without an open transaction, the update cannot be rolled back.
   * @param range positions to update. @default the whole vector
   */
  apply(step: AppliedStep, range?: Range): void;
  /** Ends the transaction and keeps its updates. */
  commit(): void;
  /** Ends the transaction and restores weights and state as of begin(). Does nothing if none is open. */
  rollback(): void;
}

/** The part of an optimizer that a step needs. */
export type StepOptimizer = Omit<
  Optimizer,
  'averagedWeights' | 'state' | 'plateau' | 'penalty' | 'learningRateAt' | 'setLearningRate'
>;

/** Names of the vectors of what is done around the rule. */
const AVERAGE = 'averageWeights';
const ACCUMULATED = 'accumulatedGradient';

class TransactionalOptimizer implements Optimizer {
  readonly weights: Float32Array;
  readonly gradientSum: Float32Array;
  readonly state: OptimizerState;
  readonly plateau: Plateau | null;
  readonly #settings: OptimizerSettings;
  readonly #slices: readonly Slice[];
  readonly #rule: UpdateRule;
  readonly #kernels: VectorKernels;
  /** The rule's own vectors, in its order. */
  readonly #ruleState: readonly Float32Array[];
  /** Mean gradient; null if the rule takes the gradient sum itself. */
  readonly #gradient: Float32Array | null;
  readonly #wholeTensors: boolean;
  readonly #runs: readonly Run[];
  /** Ranges of the vector that cannot be applied in parts. */
  readonly #wholeRanges: readonly WholeRange[];
  readonly #rateAt: ((step: number) => number) | null;
  /** Learning rate without a schedule. */
  #constantRate: number;
  readonly #vectors: readonly Float32Array[];
  /** Copies of the vectors, allocated by the first transaction and reused. */
  #copies: readonly Float32Array[] = [];
  #isOpen = false;

  constructor(settings: OptimizerSettings, { slices, length }: Layout, rule: UpdateRule) {
    const names = [
      ...Object.keys(rule.state),
      ...(settings.ema === undefined ? [] : [AVERAGE]),
      ...(settings.accumulate === undefined ? [] : [ACCUMULATED]),
    ];
    const hasGradient = changesGradient(settings);
    const { kernels, vectors } = residentVectors(2 + names.length + Number(hasGradient), length);
    const [weights, gradientSum, ...others] = vectors as [Float32Array, Float32Array, ...Float32Array[]];
    this.weights = weights;
    this.gradientSum = gradientSum;
    this.state = Object.fromEntries(names.map((name, i) => [name, others[i] as Float32Array]));
    for (const [name, value] of Object.entries(rule.state)) if (value !== 0) this.state[name]?.fill(value);
    this.#settings = settings;
    this.#slices = slices;
    this.#rule = rule;
    this.#kernels = kernels;
    this.#ruleState = others.slice(0, Object.keys(rule.state).length);
    this.#gradient = hasGradient ? (others.at(-1) as Float32Array) : null;
    this.#wholeTensors = updatesWholeTensors(settings.name);
    this.#runs = runsOf(slices);
    this.#wholeRanges = wholeRanges(settings, slices);
    this.#rateAt = createSchedule(settings);
    const { schedule, learningRate } = settings;
    this.#constantRate = f32(learningRate);
    this.plateau = schedule?.name === 'plateau' ? new Plateau(schedule, learningRate) : null;
    this.#vectors = [weights, ...Object.values(this.state)];
  }

  get committedWeights(): Float32Array {
    return (this.#isOpen ? this.#copies[0] : undefined) ?? this.weights;
  }

  get averagedWeights(): Float32Array {
    const { committedWeights } = this;
    const current = this.state[AVERAGE];
    if (current === undefined) return committedWeights;
    const average = (this.#isOpen ? this.#copies[this.#vectors.indexOf(current)] : undefined) ?? current;
    const weights = committedWeights.slice();
    for (const { from, to, trainable } of this.#runs) {
      if (trainable) weights.set(average.subarray(from, to), from);
    }
    return weights;
  }

  penalty(weights: Float32Array = this.weights): number {
    const { tensorRules } = this.#settings;
    return tensorRules === undefined ? 0 : sumPenalties(tensorRules, this.#slices, weights, this.#kernels);
  }

  learningRateAt(step: number): number {
    return this.#learningRate(step + (this.#settings.earlierSteps ?? 0));
  }

  setLearningRate(learningRate: number): void {
    const { schedule } = this.#settings;
    if (schedule !== undefined) {
      throw new Error(`The learning rate is set by the schedule ${schedule.name}. Leave out one of them.`);
    }
    this.#constantRate = f32(learningRate);
  }

  needsWholeGradient(offsets: readonly number[]): boolean {
    return this.#wholeRanges.length > 0 && findCutRange(this.#wholeRanges, offsets) !== undefined;
  }

  begin(): void {
    if (this.#isOpen) return;
    if (this.#copies.length === 0) this.#copies = this.#vectors.map(({ length }) => new Float32Array(length));
    for (const [i, copy] of this.#copies.entries()) copy.set(this.#vectors[i] ?? []);
    this.#isOpen = true;
  }

  apply(applied: AppliedStep, range: Range = { from: 0, to: this.weights.length }): void {
    const { earlierSteps = 0 } = this.#settings;
    const step = earlierSteps === 0 ? applied : { ...applied, step: applied.step + earlierSteps };
    const runs = this.#runs.flatMap((run) => {
      const from = Math.max(run.from, range.from);
      const to = Math.min(run.to, range.to);
      return from < to ? [{ ...run, from, to }] : [];
    });
    for (const { from, to, trainable } of runs) {
      if (!trainable) this.#addMeanChange(step, from, to);
    }
    const trained = runs.filter(({ trainable }) => trainable);
    const { accumulate } = this.#settings;
    const isUpdate = accumulate === undefined || (step.step + 1) % accumulate === 0;
    if (this.#gradient !== null) this.#prepareGradient(this.#gradient, trained, step.samples, isUpdate);
    for (const run of trained) {
      if (isUpdate) this.#update(step, run);
      this.#finish(step.step, run);
    }
  }

  commit(): void {
    this.#isOpen = false;
  }

  rollback(): void {
    if (!this.#isOpen) return;
    for (const [i, vector] of this.#vectors.entries()) vector.set(this.#copies[i] ?? []);
    this.#isOpen = false;
  }

  /** To values that are not trainable, the mean of the changes that the forward passes made to them is added. */
  #addMeanChange({ samples }: AppliedStep, from: number, to: number): void {
    const { weights, gradientSum } = this;
    for (let i = from; i < to; i++) {
      weights[i] = (weights[i] as number) + (gradientSum[i] as number) / samples;
    }
  }

  #prepareGradient(gradient: Float32Array, runs: readonly Range[], samples: number, isUpdate: boolean): void {
    const { weights, gradientSum } = this;
    const kernels = this.#kernels;
    const accumulated = this.state[ACCUMULATED] ?? null;
    const vectors = { kernels, weights, gradientSum, gradient, accumulated };
    for (const run of runs) takeMean(vectors, run, this.#partsOf(run), this.#settings, { samples, isUpdate });
    if (!isUpdate) return;
    clipGradient(
      kernels,
      gradient,
      runs.flatMap((run) => this.#partsOf(run)),
      this.#settings,
    );
  }

  /** Weight decay and the rule. */
  #update({ step, samples }: AppliedStep, run: Range): void {
    const { accumulate } = this.#settings;
    const learningRate = this.#learningRate(step);
    this.#decay(learningRate, run);
    const isMean = this.#gradient !== null;
    const gradientSum = this.#gradient ?? this.gradientSum;
    const update = ({ from, to }: Range, tensor: number | null): void =>
      this.#rule.update({
        kernels: this.#kernels,
        weights: this.weights.subarray(from, to),
        gradientSum: gradientSum.subarray(from, to),
        samples: isMean ? 1 : samples,
        state: this.#ruleState.map((vector) => vector.subarray(from, to)),
        learningRate,
        iteration: accumulate === undefined ? step : Math.floor(step / accumulate),
        tensor,
      });
    if (this.#wholeTensors) for (const part of this.#partsOf(run)) update(part, part.tensor);
    else update(run, null);
  }

  #learningRate(step: number): number {
    return this.#rateAt?.(step) ?? this.plateau?.state.learningRate ?? this.#constantRate;
  }

  #decay(learningRate: number, run: Range): void {
    const { weightDecay, noDecay = [] } = this.#settings;
    const { weightDecayOf } = this.#rule;
    if (weightDecay === undefined && weightDecayOf === undefined) return;
    for (const { from, to, tensor } of this.#partsOf(run)) {
      const slice = this.#slices[tensor] as Slice;
      const decay = weightDecayOf === undefined ? weightDecay : weightDecayOf(slice, tensor);
      if (decay === undefined || noDecay.includes(tensor)) continue;
      this.#kernels.run('decay', { changed: [this.weights.subarray(from, to)] }, [decay, learningRate]);
    }
  }

  /** Moving average, and constraints. */
  #finish(step: number, run: Range): void {
    const { ema, accumulate = 1, tensorRules = [] } = this.#settings;
    const weights = this.weights.subarray(run.from, run.to);
    const average = this.state[AVERAGE]?.subarray(run.from, run.to);
    if (ema !== undefined && average !== undefined) {
      const iteration = Math.floor(step / accumulate);
      const momentum = iteration === 0 ? 0 : f32(ema.momentum);
      const scalars = [momentum, f32(1 - momentum)];
      this.#kernels.run('average', { changed: [average], read: [weights] }, scalars);
      if (ema.overwriteSteps !== undefined && (iteration + 1) % ema.overwriteSteps === 0)
        weights.set(average);
    }
    for (const { tensor, constraint } of tensorRules) {
      if (constraint === undefined) continue;
      for (const part of this.#partsOf(run)) {
        if (part.tensor !== tensor) continue;
        const { shape } = this.#slices[tensor] as Slice;
        constrain(this.weights.subarray(part.from, part.to), shape, constraint);
      }
    }
  }

  /** Tensors, or parts of them, within a range. */
  #partsOf({ from, to }: Range): TensorPart[] {
    return this.#slices.flatMap(({ offset, size, shape }, tensor) => {
      const part = { from: Math.max(from, offset), to: Math.min(to, offset + size), tensor, shape };
      return part.from < part.to ? [part] : [];
    });
  }
}

/** Range of the flat vector whose tensors are all trainable or all not trainable. */
interface Run extends Range {
  readonly trainable: boolean;
}

/** Ranges of the flat vector, each as long as possible. */
function runsOf(slices: readonly Slice[]): readonly Run[] {
  const runs: { from: number; to: number; trainable: boolean }[] = [];
  for (const { offset, size, trainable } of slices) {
    const last = runs.at(-1);
    if (last?.trainable === trainable) last.to = offset + size;
    else runs.push({ from: offset, to: offset + size, trainable });
  }
  return runs;
}

/** The rule that settings name. */
function createRule(settings: OptimizerSettings, layout: Layout): UpdateRule {
  switch (settings.name) {
    case 'adadelta':
      return adadelta(settings);
    case 'adagrad':
      return adagrad(settings);
    case 'adam':
      return adam(settings);
    case 'adamax':
      return adamax(settings);
    case 'adamw':
      return adamw(settings);
    case 'lamb':
      return lamb(settings, layout);
    case 'lion':
      return lion(settings);
    case 'muon':
      return muon(settings, layout);
    case 'nadam':
      return nadam(settings);
    case 'rmsprop':
      return rmsprop(settings);
    case 'sgd':
      return sgd(settings);
  }
}

/** Creates the optimizer that a job asks for, with zeros in its weights. */
export function createOptimizer(settings: OptimizerSettings, layout: Layout): Optimizer {
  return new TransactionalOptimizer(settings, layout, createRule(settings, layout));
}
