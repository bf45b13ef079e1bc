import { describe, expect, it } from 'vitest';
import type { GradientAnswer } from '../../../coordinator/integrity/answer.ts';
import { compareGradients, compareScores } from '../../../coordinator/integrity/compare-answers.ts';
import { QuantizationSteps } from '../../../coordinator/integrity/quantization.ts';
import { int4, scalesIn } from '../../../shared/codec/packed.ts';
import { getCodec } from '../../../shared/codec/registry.ts';
import { ErrorFeedback } from '../../../shared/codec/error-feedback.ts';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import type { OutputSpec } from '../../../shared/model/outputs.ts';
import { Scoring } from '../../../shared/model/scoring.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';

const LENGTH = 3_000;
const SAMPLES = 32;
const ann = 'ann' as WorkerId;

/** Creates gradients of a run: a common direction with noise, and some blocks near zero. */
function gradients(count: number, seed: number): Float32Array[] {
  const stream = randomStream(seed, Purpose.permutation);
  const common = Float32Array.from({ length: LENGTH }, () => stream.normal());
  return Array.from({ length: count }, () =>
    common.map((value, i) => (i % 1_000 < 300 ? 1e-3 : 1) * (value + stream.normal())),
  );
}

const answerOf = (
  buckets: GradientAnswer['buckets'],
  more: Partial<GradientAnswer> = {},
): GradientAnswer => ({
  worker: ann,
  from: 0,
  to: SAMPLES,
  lossSum: 10,
  metrics: [30],
  norm: 1,
  buckets,
  ...more,
});
const plain = (values: Float32Array): GradientAnswer['buckets'] => [
  { offset: 0, values, quantizationLoss: null },
];
const own = (gradient: Float32Array) => ({ lossSum: 10, metrics: [30], gradient });

/** Sends answers through codecs with error feedback, one codec after the other, in two buckets. */
function transmit(
  codecs: readonly [string, ...string[]],
  honest: readonly Float32Array[],
  lie: (value: number) => number,
) {
  const feedback = new ErrorFeedback(LENGTH);
  const steps = new QuantizationSteps();
  return honest.map((gradient, answer) => {
    const codec = getCodec(codecs[answer % codecs.length] ?? codecs[0]);
    return answerOf(
      [
        { from: 1_024, to: LENGTH },
        { from: 0, to: 1_024 },
      ].map(({ from, to }) => {
        const values = gradient.subarray(from, to).map(lie);
        const payload = new Uint8Array(codec.bytes(values.length));
        feedback.encode(codec, values, payload, from);
        const decoded = codec.decode(payload, values.length);
        const quantizationLoss = steps.record(ann, from, codec.name, decoded);
        return { offset: from, values: decoded, quantizationLoss };
      }),
    );
  });
}

const scoring = new Scoring(exampleJob);

const isHonest = (answer: GradientAnswer, gradient: Float32Array): boolean =>
  compareGradients(answer, own(gradient), scoring)?.differs === false;

describe('comparison with the coordinator’s own result', () => {
  it('tolerates a different decision of a ReLU, but no sign change, factor or gradient of another batch', () => {
    const [gradient, other] = gradients(2, 1) as [Float32Array, Float32Array];
    expect(isHonest(answerOf(plain(gradient.map((value) => value * 1.005))), gradient)).toBe(true);
    for (const factor of [-1, -3, 0, 0.5, 1.5, 1e30, NaN]) {
      expect(isHonest(answerOf(plain(gradient.map((value) => value * factor))), gradient)).toBe(false);
    }
    expect(isHonest(answerOf(plain(other)), gradient)).toBe(false);
  });

  it('includes the loss and the number of correct samples', () => {
    const [gradient] = gradients(1, 2) as [Float32Array];
    for (const more of [{ lossSum: 20 }, { lossSum: 0 }, { lossSum: 7e38 }, { metrics: [20] }]) {
      expect(compareGradients(answerOf(plain(gradient), more), own(gradient), scoring)?.differs).toBe(true);
    }
    // One sample may be on the boundary between two classes.
    expect(isHonest(answerOf(plain(gradient), { metrics: [29] }), gradient)).toBe(true);
    expect(
      compareScores(
        { worker: ann, from: 0, to: 100, lossSum: 1, metrics: [100] },
        { lossSum: 40, metrics: [86] },
        scoring,
      ),
    ).toMatchObject({ differs: true, quantity: 'loss' });
  });

  it('includes the losses of outputs and the metrics that are errors', () => {
    const value: TensorSpec = { name: 'value', shape: [1], dtype: 'float32' };
    const outputs = ['a', 'b'].map((name): OutputSpec => {
      const metrics = [{ name: 'mean_absolute_error', label: 'mae' }, { name: 'cosine_similarity' }];
      return { name, shape: [1], loss: { name: 'mean_squared_error' }, metrics };
    });
    const topology = { class_name: 'Sequential', config: { name: 'm', layers: [] } };
    const both = new Scoring({ topology, outputs, targets: [value, { ...value, name: 'other' }] });
    // The losses of a and b, and their errors and cosines.
    const honest = [4, 6, 20, 5, 30, -1];
    const compare = (metrics: number[]) =>
      compareScores(
        { worker: ann, from: 0, to: 100, lossSum: 10, metrics },
        { lossSum: 10, metrics: honest },
        both,
      );
    expect(compare([4.1, 5.9, 20.1, 9, 29.9, 1]).differs).toBe(false);
    expect(compare([2, 8, 20, 5, 30, -1])).toMatchObject({ differs: true, quantity: 'a_loss' });
    expect(compare([4, 6, 20, 5, 0, -1])).toMatchObject({ differs: true, quantity: 'b_mae' });
    expect(compare(honest.slice(0, 4))).toMatchObject({ differs: true, quantity: 'b_mae' });
    expect(compare([4, 6, 20, 5, NaN, -1])).toMatchObject({ differs: true, quantity: 'b_mae' });
    // A metric that is not defined here may be so on another engine.
    honest[4] = NaN;
    for (const sum of [NaN, 30]) expect(compare([4, 6, 20, 5, sum, -1]).differs).toBe(false);
    expect(compare([4, 6, 0, 5, NaN, -1])).toMatchObject({ differs: true, quantity: 'a_mae' });
  });

  it('includes the sums of an R2 score that are never negative', () => {
    const metrics = [{ name: 'r2_score' }];
    const value: TensorSpec = { name: 'value', shape: [2], dtype: 'float32' };
    const output = { name: 'a', shape: [2], loss: { name: 'mean_squared_error' as const }, metrics };
    const topology = { class_name: 'Sequential', config: { name: 'm', layers: [] } };
    const own = new Scoring({ topology, outputs: [output], targets: [value] });
    // Squared errors, squares and sums of the two outputs.
    const honest = [3, 4, 20, 30, -5, 6];
    const compare = (sums: number[]) =>
      compareScores(
        { worker: ann, from: 0, to: 100, lossSum: 10, metrics: sums },
        { lossSum: 10, metrics: honest },
        own,
      ).differs;
    expect(compare(honest)).toBe(false);
    expect(compare([3, 0, 20, 30, -5, 6])).toBe(true);
    expect(compare([3, 4, 20, 60, -5, 6])).toBe(true);
    expect(own.findImpossible({ lossSum: 1, metrics: honest }, 100)).toBeNull();
    expect(own.findImpossible({ lossSum: 1, metrics: [3, 4, -20, 30, -5, 6] }, 100)).toBe(
      'A sum of r2_score is negative.',
    );
  });

  it.each(['int4', 'int8', 'float16'])('accepts honest answers in %s with error feedback', (codec) => {
    const honest = gradients(30, 3);
    for (const [i, answer] of transmit([codec], honest, (value) => value).entries()) {
      expect(compareGradients(answer, own(honest[i]!), scoring), `answer ${i}`).toMatchObject({
        differs: false,
      });
    }
  });

  it('accepts honest answers whose codec changes, and finds a wrong sign in them', () => {
    const codecs = ['int4', 'float32', 'float32', 'int8', 'float16', 'int4'] as const;
    const honest = gradients(30, 8);
    for (const [i, answer] of transmit(codecs, honest, (value) => value).entries()) {
      expect(compareGradients(answer, own(honest[i]!), scoring), `answer ${i}`).toMatchObject({
        differs: false,
      });
    }
    for (const [i, answer] of transmit(codecs, honest, (value) => -value).entries()) {
      expect(compareGradients(answer, own(honest[i]!), scoring), `answer ${i}`).toMatchObject({
        differs: true,
      });
    }
  });

  it.each(['int4', 'int8', 'float16'])('finds a wrong sign, a factor, zeros and noise in %s', (codec) => {
    const honest = gradients(10, 4);
    const stream = randomStream(5, Purpose.permutation);
    for (const lie of [
      (value: number) => -value,
      (value: number) => -3 * value,
      (value: number) => 2 * value,
      () => 0,
      () => stream.normal(),
    ]) {
      for (const [i, answer] of transmit([codec], honest, lie).entries()) {
        expect(compareGradients(answer, own(honest[i]!), scoring), `answer ${i}`).toMatchObject({
          differs: true,
        });
      }
    }
  });

  it.each(['int4', 'int8'])('finds scales in %s that are larger than needed', (codec) => {
    const steps = new QuantizationSteps();
    const [gradient] = gradients(1, 7) as [Float32Array];
    // Half a quantization step of this scale is larger than any value of the gradient; all integers are zero.
    const payload = new Uint8Array(getCodec(codec).bytes(LENGTH));
    scalesIn(payload, LENGTH).fill(1e6);
    const zeros = getCodec(codec).decode(payload, LENGTH);
    const zeroBuckets = [{ offset: 0, values: zeros, quantizationLoss: steps.record(ann, 0, codec, zeros) }];
    expect(compareGradients(answerOf(zeroBuckets), own(gradient), scoring)).toMatchObject({ differs: true });
    // The large scale does not explain the difference of the next payload either.
    getCodec(codec).encode(
      gradient.map((value) => -value),
      payload,
    );
    const negated = getCodec(codec).decode(payload, LENGTH);
    const nextBuckets = [
      { offset: 0, values: negated, quantizationLoss: steps.record(ann, 0, codec, negated) },
    ];
    expect(compareGradients(answerOf(nextBuckets), own(gradient), scoring)).toMatchObject({ differs: true });
  });

  it('is impossible after a lossy payload that was not decoded', () => {
    const steps = new QuantizationSteps();
    const [gradient] = gradients(1, 6) as [Float32Array];
    const payload = new Uint8Array(int4.bytes(LENGTH));
    int4.encode(gradient, payload);
    const values = int4.decode(payload, LENGTH);
    steps.record(ann, 0, 'int4', values);
    steps.invalidate(ann);
    const buckets = [{ offset: 0, values, quantizationLoss: steps.record(ann, 0, 'int4', values) }];
    expect(compareGradients(answerOf(buckets), own(gradient), scoring)).toBeNull();
  });
});
