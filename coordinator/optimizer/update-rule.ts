import type { Slice } from '../../shared/model/layout.ts';
import type { VectorKernels } from './kernels/vector.ts';

/** Vectors that an optimizer keeps between steps, by name; each has the flat vector's length. */
export type OptimizerState = Readonly<Record<string, Float32Array>>;

/** Values of the flat vector that a rule updates in one step. */
export interface RuleUpdate {
  readonly kernels: VectorKernels;
  readonly weights: Float32Array;
  /** Sum of the gradients over `samples` samples. */
  readonly gradientSum: Float32Array;
  readonly samples: number;
  /** The rule's vectors, in the order of its `state`. */
  readonly state: readonly Float32Array[];
  /** Learning rate of this step, float32. */
  readonly learningRate: number;
  /** Number of updates before this one. */
  readonly iteration: number;
  /** Position of the tensor in the layout; null if the values are of several tensors. */
  readonly tensor: number | null;
}

/** The arithmetic of one optimizer, over flat vectors. */
export interface UpdateRule {
  /** Names of the rule's vectors, with the value that each is filled with at the start. */
  readonly state: Readonly<Record<string, number>>;
  /** Updates weights and state in place. Called for one whole tensor at a time if updatesWholeTensors says so. */
  readonly update: (update: RuleUpdate) => void;
  /** Weight decay of a tensor, if it is not that of the settings. */
  readonly weightDecayOf?: (slice: Slice, tensor: number) => number | undefined;
}

/** Rounds to float32. */
export const f32 = Math.fround;

/** Power of float32 values, rounded to float32, as Keras takes it. */
export const power = (base: number, exponent: number): number => f32(f32(base) ** f32(exponent));

/** 1 - beta as Keras takes it: in float64, then rounded. */
export const complement = (beta: number): number => f32(1 - beta);

/** 1 - beta of a float32 value, in float32. */
export const complement32 = (beta: number): number => f32(1 - f32(beta));
