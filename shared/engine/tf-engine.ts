import type * as tfjs from '@tensorflow/tfjs';
import type { Shard } from '../data/shard.ts';
import type { Job } from '../model/job.ts';
import { scoreLogits } from '../model/loss.ts';
import { withKeyedDropout, withLogits } from '../model/topology.ts';
import type { EngineInfo, Step } from '../protocol/messages.ts';
import type { Engine, Trainer } from './engine.ts';
import { prepareMasks, registerKeyedDropout, type DropoutContext } from './keyed-dropout.ts';
import { ScratchArrays } from './scratch-arrays.ts';
import { buildModel, type BuiltModel, type TF } from './model.ts';

/** Copies a float32 tensor's values into `target`, which has just their number. */
export type ReadInto = (tensor: tfjs.Tensor, target: Float32Array) => Promise<void>;

/** Any backend can do this, by way of a copy that is thrown away. */
const readByData: ReadInto = async (tensor, target) => target.set(await tensor.data());

/**
 * An engine out of whatever backend `tf` has been set to.
 * @param readInto the backend's own way to read a tensor back, if it has a shorter one
 */
export function createEngine(tf: TF, info: EngineInfo, readInto = readByData): Engine {
  return { info, load: (job) => createTrainer(tf, job, readInto) };
}

async function createTrainer(tf: TF, job: Job, readInto: ReadInto): Promise<Trainer> {
  const scratch = new ScratchArrays();
  const dropout: DropoutContext = { current: null, ready: new Set(), layers: new Map(), scratch };
  let prepared: { readonly step: Step; readonly shard: Shard } | null = null;
  registerKeyedDropout(tf, dropout);
  const built = await buildModel(tf, withLogits(withKeyedDropout(job.topology)));
  checkLayout(built, job);
  const { model, layout, variables } = built;
  const trainable = variables.filter((_, i) => layout.slices[i]?.trainable);
  const { sampleShape, classes, scale } = job.data;

  /** Stored bytes as the model sees them. */
  const scaled = (images: Uint8Array): Float32Array => {
    const values = scratch.take('input', images.length);
    for (let i = 0; i < values.length; i++) values[i] = (images[i] as number) * scale;
    return values;
  };

  const forget = (): void => {
    prepared = null;
    dropout.ready.clear();
  };

  /** [samples, ...sampleShape] */
  const inputOf = (images: Uint8Array, samples: number): tfjs.Tensor =>
    tf.tensor(scaled(images), [samples, ...sampleShape]);

  /** [samples, classes] */
  const logitsOf = (input: tfjs.Tensor, training: boolean): tfjs.Tensor =>
    model.apply(input, { training }) as tfjs.Tensor;

  /** The parts of the flat gradient, in order of the layout, and the logits on the way there. */
  const forwardBackward = (shard: Shard): { logits: tfjs.Tensor; parts: tfjs.Tensor[] } => {
    const samples = shard.labels.length;
    const input =
      prepared === null
        ? inputOf(shard.images, samples)
        : tf.tensor(scratch.take('input', shard.images.length), [samples, ...sampleShape]);
    const target = tf.oneHot(tf.tensor1d(Int32Array.from(shard.labels), 'int32'), classes);
    const before = variables.map((variable) => (trainable.includes(variable) ? null : variable.clone()));
    let logits: tfjs.Tensor | undefined;
    const { grads } = tf.variableGrads(() => {
      logits = tf.keep(logitsOf(input, true));
      return crossEntropySum(tf, logits, target);
    }, trainable);
    // What is not trained has no gradient: the change that the forward pass made to it takes its place.
    const parts = variables.map((variable, i) => {
      const old = before[i];
      if (old === null || old === undefined) return grads[variable.name] ?? tf.zerosLike(variable);
      const change = tf.mul(tf.sub(variable, old), shard.labels.length);
      variable.assign(old);
      return change;
    });
    return { logits: logits as tfjs.Tensor, parts };
  };

  return {
    setWeights: (weights) => built.setWeights(weights),

    async gradient(step, shard, gradient) {
      if (prepared?.step !== step || prepared.shard !== shard) forget();
      dropout.current = { key: { seed: job.seed, step }, sampleNumbers: shard.sampleNumbers };
      const { logits, parts } = tf.tidy(() => {
        try {
          return forwardBackward(shard);
        } finally {
          dropout.current = null;
          forget();
        }
      });
      try {
        await Promise.all(
          layout.slices.map(({ offset, size }, i) =>
            readInto(parts[i] as tfjs.Tensor, gradient.subarray(offset, offset + size)),
          ),
        );
        return scoreLogits(await logits.data(), shard.labels, classes);
      } finally {
        tf.dispose([logits, parts]);
      }
    },

    prepare(step, shard) {
      if (prepared?.step === step && prepared.shard === shard) return;
      forget();
      scaled(shard.images);
      prepareMasks(dropout, { seed: job.seed, step }, shard.sampleNumbers);
      prepared = { step, shard };
    },

    async evaluate(shard) {
      forget();
      const logits = tf.tidy(() => logitsOf(inputOf(shard.images, shard.labels.length), false));
      try {
        return scoreLogits(await logits.data(), shard.labels, classes);
      } finally {
        logits.dispose();
      }
    },

    async predict(images, samples) {
      forget();
      const probabilities = tf.tidy(() => tf.softmax(logitsOf(inputOf(images, samples), false)));
      try {
        return (await probabilities.data()) as Float32Array;
      } finally {
        probabilities.dispose();
      }
    },

    dispose: () => built.dispose(),
  };
}

/**
 * Sum over the samples of the cross-entropy of softmax(logits) with a one-hot target; its gradient is
 * softmax(logits) - target.
 * @param logits [samples, classes]
 * @param target [samples, classes]
 */
function crossEntropySum(tf: TF, logits: tfjs.Tensor, target: tfjs.Tensor): tfjs.Scalar {
  const loss = tf.customGrad((input, save) => {
    const x = input as tfjs.Tensor;
    const shifted = tf.sub(x, tf.max(x, -1, true));
    const logSum = tf.log(tf.sum(tf.exp(shifted), -1, true));
    (save as tfjs.GradSaveFunc)([x]);
    return {
      value: tf.sum(tf.mul(target, tf.sub(logSum, shifted))),
      gradFunc: (dy, saved) => tf.mul(dy, tf.sub(tf.softmax(saved[0] as tfjs.Tensor), target)),
    };
  });
  return loss(logits) as tfjs.Scalar;
}

function checkLayout({ layout }: BuiltModel, job: Job): void {
  const here = JSON.stringify(layout.slices.map(({ shape, trainable }) => ({ shape, trainable })));
  const there = JSON.stringify(job.layout.map(({ shape, trainable }) => ({ shape, trainable })));
  if (here !== there) {
    throw new Error(`The model built here has the tensors ${here}, but the job says ${there}.`);
  }
}
