import { expect, test } from 'vitest';
import { LOSS_NAMES } from '../../../shared/model/losses.ts';
import { METRICS } from '../../../shared/model/metrics.ts';
import { kerasLosses } from '../../support/keras-losses.ts';
import { lossOf, metricOf } from '../../support/score-case.ts';

const { losses, metrics } = kerasLosses();

const close = (value: number): unknown =>
  expect.closeTo(value, 6 - Math.floor(Math.log10(Math.max(1, Math.abs(value)))));

test.each(losses.map((each) => [JSON.stringify(each.loss), String(each.outputShape), each] as const))(
  'the loss %s of outputs [%s] is that of Keras, with and without weights',
  (_, __, each) => {
    expect(lossOf(each, false)).toEqual(close(each.value));
    expect(lossOf(each, true)).toEqual(close(each.weighted));
  },
);

test.each(metrics.map((each) => [JSON.stringify(each.metric), String(each.outputShape), each] as const))(
  'the metric %s of outputs [%s] is that of Keras, with and without weights',
  (_, __, each) => {
    expect(metricOf(each, false)).toEqual(close(each.value));
    expect(metricOf(each, true)).toEqual(close(each.weighted));
  },
);

test('every loss and every metric has a case', () => {
  const unmeasured = Object.keys(METRICS).filter(
    (name) => !metrics.some(({ metric }) => metric.name === name),
  );
  // These metrics are the losses of the same names.
  expect(unmeasured).toEqual([
    'binary_focal_crossentropy',
    'categorical_focal_crossentropy',
    'categorical_generalized_cross_entropy',
    'huber',
  ]);
  expect(new Set(losses.map(({ loss }) => loss.name)).size).toBe(LOSS_NAMES.length);
});
