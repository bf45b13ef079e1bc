import type * as tfjs from '@tensorflow/tfjs';
import {
  DEFAULT_ALPHA,
  DEFAULT_DELTA,
  DEFAULT_GAMMA,
  DEFAULT_Q,
  EPSILON,
  lossDefinition,
  type LossName,
} from '../model/losses.ts';
import type { LossSpec } from '../model/outputs.ts';
import { CUSTOM } from '../model/custom-code.ts';
import { softmaxCrossEntropyGrad } from '../kernels/fused-ops.ts';
import type { TF } from '../util/tf.ts';

/** Loss of each row: reduced over the last axis. Target and output have the same shape. */
type RowLosses = (
  tf: TF,
  target: tfjs.Tensor,
  output: tfjs.Tensor,
  spec: LossSpec,
  isLogits: boolean,
) => tfjs.Tensor;

const clipProbabilities = (tf: TF, values: tfjs.Tensor): tfjs.Tensor =>
  tf.clipByValue(values, EPSILON, 1 - EPSILON);

/** Targets after label smoothing. @param mean value of every target if smoothing is 1 */
function smooth(tf: TF, target: tfjs.Tensor, { labelSmoothing = 0 }: LossSpec, mean: number): tfjs.Tensor {
  if (labelSmoothing === 0) return target;
  return tf.add(tf.mul(target, 1 - labelSmoothing), labelSmoothing * mean);
}

const widthOf = ({ shape }: tfjs.Tensor): number => shape.at(-1) ?? 1;

function binaryEntropy(tf: TF, target: tfjs.Tensor, output: tfjs.Tensor): tfjs.Tensor {
  const p = clipProbabilities(tf, output);
  return tf.neg(tf.add(tf.mul(target, tf.log(p)), tf.mul(tf.sub(1, target), tf.log(tf.sub(1, p)))));
}

const hingeErrors = (tf: TF, target: tfjs.Tensor, output: tfjs.Tensor): tfjs.Tensor =>
  tf.maximum(tf.sub(1, tf.mul(tf.sub(target, tf.cast(tf.equal(target, 0), 'float32')), output)), 0);

/** Binary cross-entropy of sigmoid(logits). */
const logitsEntropy = (tf: TF, target: tfjs.Tensor, logits: tfjs.Tensor): tfjs.Tensor =>
  tf.add(tf.sub(tf.relu(logits), tf.mul(logits, target)), tf.log1p(tf.exp(tf.neg(tf.abs(logits)))));

/** Absolute values, with the gradient 0 at 0, where that of tfjs is -1. */
const absolute = (tf: TF, values: tfjs.Tensor): tfjs.Tensor =>
  tf.add(tf.relu(values), tf.relu(tf.neg(values)));

/** Largest value of each row. Equal ones share the gradient as in TensorFlow, while tfjs gives each of them all of it. */
const maxOfRows = (tf: TF, values: tfjs.Tensor): tfjs.Tensor =>
  tf.customGrad((input, save) => {
    const x = input as tfjs.Tensor;
    const max = tf.max(x, -1, true);
    (save as tfjs.GradSaveFunc)([x, max]);
    return {
      value: tf.reshape(max, x.shape.slice(0, -1)),
      gradFunc: (dy, saved) => {
        const [row, largest] = saved as [tfjs.Tensor, tfjs.Tensor];
        const ties = tf.cast(tf.equal(row, largest), 'float32');
        return tf.mul(tf.div(ties, tf.sum(ties, -1, true)), tf.reshape(dy, largest.shape));
      },
    };
  })(values);

/** Vectors of length 1, or shorter ones unchanged up to Keras' epsilon. */
function normalize(tf: TF, values: tfjs.Tensor): tfjs.Tensor {
  const squares = tf.sum(tf.square(values), -1, true);
  return tf.mul(values, tf.rsqrt(tf.maximum(squares, EPSILON ** 2)));
}

/** Losses of probabilities and values (the focal ones of logits too), from which tfjs derives gradients as TensorFlow does for Keras. */
const ROW_LOSSES: Readonly<Record<LossName, RowLosses>> = {
  categorical_crossentropy: (tf, target, output, spec) => {
    const p = clipProbabilities(tf, tf.div(output, tf.sum(output, -1, true)));
    return tf.neg(tf.sum(tf.mul(smooth(tf, target, spec, 1 / widthOf(target)), tf.log(p)), -1));
  },
  sparse_categorical_crossentropy: (tf, target, output) => {
    const p = clipProbabilities(tf, output);
    return tf.sub(tf.log(tf.sum(p, -1)), tf.sum(tf.mul(target, tf.log(p)), -1));
  },
  binary_crossentropy: (tf, target, output, spec) =>
    tf.mean(binaryEntropy(tf, smooth(tf, target, spec, 0.5), output), -1),
  binary_focal_crossentropy: (tf, target, output, spec, isLogits) => {
    const { gamma = DEFAULT_GAMMA, alpha = DEFAULT_ALPHA, applyClassBalancing } = spec;
    const p = isLogits ? tf.sigmoid(output) : output;
    const y = smooth(tf, target, spec, 0.5);
    const right = tf.add(tf.mul(y, p), tf.mul(tf.sub(1, y), tf.sub(1, p)));
    const entropy = isLogits ? logitsEntropy(tf, y, output) : binaryEntropy(tf, y, output);
    const losses = tf.mul(tf.pow(tf.sub(1, right), gamma), entropy);
    if (applyClassBalancing !== true) return tf.mean(losses, -1);
    return tf.mean(tf.mul(tf.add(tf.mul(y, alpha), tf.mul(tf.sub(1, y), 1 - alpha)), losses), -1);
  },
  categorical_focal_crossentropy: (tf, target, output, spec, isLogits) => {
    const { gamma = DEFAULT_GAMMA, alpha = DEFAULT_ALPHA } = spec;
    const values = isLogits ? tf.softmax(output) : output;
    const p = clipProbabilities(tf, tf.div(values, tf.sum(values, -1, true)));
    const entropy = tf.neg(tf.mul(smooth(tf, target, spec, 1 / widthOf(target)), tf.log(p)));
    return tf.sum(tf.mul(tf.mul(tf.pow(tf.sub(1, p), gamma), alpha), entropy), -1);
  },
  categorical_generalized_cross_entropy: (tf, target, output, { q = DEFAULT_Q }) =>
    tf.div(tf.sub(1, tf.pow(tf.sum(tf.mul(target, output), -1), q)), q),
  mean_squared_error: (tf, target, output) => tf.mean(tf.square(tf.sub(target, output)), -1),
  mean_absolute_error: (tf, target, output) => tf.mean(absolute(tf, tf.sub(target, output)), -1),
  mean_absolute_percentage_error: (tf, target, output) =>
    tf.mul(
      tf.mean(absolute(tf, tf.div(tf.sub(target, output), tf.maximum(tf.abs(target), EPSILON))), -1),
      100,
    ),
  mean_squared_logarithmic_error: (tf, target, output) => {
    const logOf = (values: tfjs.Tensor): tfjs.Tensor => tf.log(tf.add(tf.maximum(values, EPSILON), 1));
    return tf.mean(tf.square(tf.sub(logOf(output), logOf(target))), -1);
  },
  huber: (tf, target, output, { delta = DEFAULT_DELTA }) => {
    const error = tf.abs(tf.sub(output, target));
    // The part of the error up to delta counts as a square, the rest linearly.
    const small = tf.minimum(error, delta);
    return tf.mean(tf.add(tf.mul(tf.square(small), 0.5), tf.mul(tf.sub(error, small), delta)), -1);
  },
  log_cosh: (tf, target, output) => {
    const x = tf.abs(tf.sub(output, target));
    return tf.mean(tf.sub(tf.add(x, tf.log1p(tf.exp(tf.mul(x, -2)))), Math.LN2), -1);
  },
  hinge: (tf, target, output) => tf.mean(hingeErrors(tf, target, output), -1),
  squared_hinge: (tf, target, output) => tf.mean(tf.square(hingeErrors(tf, target, output)), -1),
  categorical_hinge: (tf, target, output) => {
    const positive = tf.sum(tf.mul(target, output), -1);
    const negative = maxOfRows(tf, tf.mul(tf.sub(1, target), output));
    return tf.maximum(tf.add(tf.sub(negative, positive), 1), 0);
  },
  poisson: (tf, target, output) =>
    tf.mean(tf.sub(output, tf.mul(target, tf.log(tf.add(output, EPSILON)))), -1),
  kl_divergence: (tf, target, output) => {
    const y = tf.clipByValue(target, EPSILON, 1);
    return tf.sum(tf.mul(y, tf.log(tf.div(y, tf.clipByValue(output, EPSILON, 1)))), -1);
  },
  cosine_similarity: (tf, target, output) =>
    tf.neg(tf.sum(tf.mul(normalize(tf, target), normalize(tf, output)), -1)),
};

/** How an output's loss is part of the sum that is differentiated. */
export interface LossTerm {
  readonly spec: LossSpec;
  /** Whether outputs are logits. */
  readonly isLogits: boolean;
  /** Factor of the rows' losses: the output's weight divided by the number of a sample's rows; of a custom loss the weight alone. */
  readonly factor: number;
  /** Loss of each sample, [samples], of a custom loss. */
  readonly custom?: (target: tfjs.Tensor, output: tfjs.Tensor) => tfjs.Tensor;
}

/**
 * Sum over the samples of an output's loss. Only its gradient counts: values come from Scoring, in double precision, and where tfjs does
 * not need the value for the gradient, it is 0.
 * @param target one-hot for classes; [samples, ...shape] like the output
 * @param weights of the samples, or null
 */
export function lossSum(
  tf: TF,
  { spec, isLogits, factor, custom }: LossTerm,
  output: tfjs.Tensor,
  target: tfjs.Tensor,
  weights: tfjs.Tensor | null,
): tfjs.Scalar {
  /** Factors of rows, [samples, 1, ...] with `rank` axes; null for 1. */
  const factors = (rank: number): tfjs.Tensor | null => {
    if (weights === null) return factor === 1 ? null : tf.scalar(factor);
    const scaled = factor === 1 ? weights : tf.mul(weights, factor);
    return tf.reshape(scaled, [scaled.size, ...new Array<number>(rank - 1).fill(1)]);
  };
  const rowLosses = (): tfjs.Tensor => {
    if (spec.name !== CUSTOM) return ROW_LOSSES[spec.name](tf, target, output, spec, isLogits);
    if (custom !== undefined) return custom(target, output);
    throw new Error(`The custom code with the loss ${spec.function ?? ''} is not loaded.`);
  };
  const { activation, options } = lossDefinition(spec.name);
  if (isLogits && !options.includes('gamma')) {
    const mean = activation === 'softmax' ? 1 / widthOf(target) : 0.5;
    const smoothed = smooth(tf, target, spec, mean);
    return activation === 'softmax'
      ? softmaxEntropySum(tf, output, smoothed, factors(output.rank))
      : sigmoidEntropySum(tf, output, smoothed, factors(output.rank));
  }
  const losses = rowLosses();
  const scales = factors(losses.rank);
  return tf.sum(scales === null ? losses : tf.mul(losses, scales));
}

/**
 * Sum of the cross-entropies of softmax(logits) with targets whose rows add up to 1; its gradient is softmax(logits) - target. The value is
 * not computed.
 * @param logits and target: [samples, ..., classes]
 */
function softmaxEntropySum(
  tf: TF,
  logits: tfjs.Tensor,
  target: tfjs.Tensor,
  factors: tfjs.Tensor | null,
): tfjs.Scalar {
  const loss = tf.customGrad((input, save) => {
    const x = input as tfjs.Tensor;
    // Only what is saved exists in the backward pass.
    (save as tfjs.GradSaveFunc)(factors === null ? [x, target] : [x, target, factors]);
    return {
      value: tf.scalar(0),
      gradFunc: (dy, saved) => {
        const [logitsOfLoss, targets, scales] = saved as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor | undefined];
        const scale = scales === undefined ? dy : tf.mul(dy, scales);
        const fused = softmaxCrossEntropyGrad(tf, logitsOfLoss, targets, scale);
        if (fused !== null) return fused;
        const gradient = tf.mul(dy, tf.sub(tf.softmax(logitsOfLoss), targets));
        return scales === undefined ? gradient : tf.mul(gradient, scales);
      },
    };
  });
  return loss(logits) as tfjs.Scalar;
}

/**
 * Sum of the means over the last axis of the cross-entropies of sigmoid(logits); the gradient of the mean's terms is
 * sigmoid(logits) - target. The value is not computed.
 */
function sigmoidEntropySum(
  tf: TF,
  logits: tfjs.Tensor,
  target: tfjs.Tensor,
  factors: tfjs.Tensor | null,
): tfjs.Scalar {
  const width = widthOf(logits);
  const loss = tf.customGrad((input, save) => {
    const x = input as tfjs.Tensor;
    (save as tfjs.GradSaveFunc)(factors === null ? [x, target] : [x, target, factors]);
    return {
      value: tf.scalar(0),
      gradFunc: (dy, saved) => {
        const [logitsOfLoss, targets, scales] = saved;
        const difference = tf.sub(tf.sigmoid(logitsOfLoss as tfjs.Tensor), targets as tfjs.Tensor);
        const gradient = tf.div(tf.mul(dy, difference), width);
        return scales === undefined ? gradient : tf.mul(gradient, scales);
      },
    };
  });
  return loss(logits) as tfjs.Scalar;
}
