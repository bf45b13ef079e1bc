import { expect, test } from 'vitest';
import { LOSS_NAMES, lossDefinition } from '../../../shared/model/losses.ts';
import { METRICS } from '../../../shared/model/metrics.ts';
import type { OutputSpec } from '../../../shared/model/outputs.ts';
import { addScores, Scoring } from '../../../shared/model/scoring.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';
import { sliceShard } from '../../../shared/data/shard.ts';
import { kerasLosses, type KerasLosses } from '../../support/keras-losses.ts';

const { weights, losses, metrics } = kerasLosses();
const samples = weights.length;
/** A model whose outputs are given, so that no activation is part of the loss. */
const topology = { class_name: 'Sequential', config: { name: 'm', layers: [] } };

/** Scores a case in two shards, whose sums are added. */
function score(
  {
    targetShape,
    target,
    outputShape,
    output,
  }: KerasLosses['losses'][number] | KerasLosses['metrics'][number],
  spec: Pick<OutputSpec, 'loss' | 'metrics'>,
  isSparse: boolean,
  sampleWeights: boolean,
) {
  const outputs = [{ name: 'y', shape: [...outputShape], ...spec }];
  const targets: TensorSpec[] = [
    {
      name: 'y',
      shape: [...targetShape],
      dtype: isSparse ? 'int32' : 'float32',
      ...(isSparse ? { classes: 4 } : {}),
    },
  ];
  const scoring = new Scoring({ topology, outputs, targets, sampleWeights });
  const shard = {
    sampleNumbers: new Uint32Array(samples),
    inputs: [Float64Array.from(output) as unknown as Float32Array],
    targets: [(isSparse ? Int32Array.from(target) : Float64Array.from(target)) as unknown as Float32Array],
    ...(sampleWeights ? { weights: Float32Array.from(weights) } : {}),
  };
  const [first, second] = [sliceShard(shard, 0, 2), sliceShard(shard, 2, samples)].map((part) =>
    scoring.score(part.inputs, part),
  );
  const sums = addScores(first!, second!);
  expect(scoring.findImpossible(sums, samples)).toBeNull();
  return { loss: sums.lossSum / samples, metrics: scoring.values(sums, samples) };
}

const close = (value: number): unknown =>
  expect.closeTo(value, 6 - Math.floor(Math.log10(Math.max(1, Math.abs(value)))));

test.each(losses.map((each) => [JSON.stringify(each.loss), String(each.outputShape), each] as const))(
  'the loss %s of outputs [%s] is that of Keras, with and without weights',
  (_, __, each) => {
    const isSparse = lossDefinition(each.loss.name).isSparse === true;
    const spec = { loss: each.loss, metrics: [] };
    expect(score(each, spec, isSparse, false).loss).toEqual(close(each.value));
    expect(score(each, spec, isSparse, true).loss).toEqual(close(each.weighted));
  },
);

test.each(metrics.map((each) => [JSON.stringify(each.metric), String(each.outputShape), each] as const))(
  'the metric %s of outputs [%s] is that of Keras, with and without weights',
  (_, __, each) => {
    const isSparse = METRICS[each.metric.name]?.isSparse === true;
    const loss = {
      name: isSparse ? 'sparse_categorical_crossentropy' : 'mean_squared_error',
      fromLogits: isSparse || undefined,
    } as const;
    const of = (weighted: boolean) =>
      score(each, { loss, metrics: [{ ...each.metric, weighted }] }, isSparse, weighted).metrics[
        each.metric.name
      ]!;
    expect(of(false)).toEqual(close(each.value));
    expect(of(true)).toEqual(close(each.weighted));
  },
);

test('every loss and every metric has a case', () => {
  const unmeasured = Object.keys(METRICS).filter(
    (name) => !metrics.some(({ metric }) => metric.name === name),
  );
  // These metrics are the losses of the same names.
  expect(unmeasured).toEqual(['binary_focal_crossentropy', 'huber']);
  expect(new Set(losses.map(({ loss }) => loss.name)).size).toBe(LOSS_NAMES.length);
});
