import { expect, test } from 'vitest';
import { hasActivityPenalties, takeActivityPenalties } from '../../../shared/model/activity-penalties.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { layersOf, type LayerConfig } from '../../../shared/model/keras-layer.ts';
import { Scoring } from '../../../shared/model/scoring.ts';
import { classOutput } from '../../../shared/model/stored-job.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

const layer = (class_name: string, config: object): LayerConfig => ({ class_name, config: { ...config } });
const regularizer = (class_name: string, config: object) => ({ class_name, config });

const expanded = (...layers: LayerConfig[]): Topology =>
  expandTopology({
    class_name: 'Sequential',
    config: { name: 'm', layers: [layer('InputLayer', { batch_input_shape: [null, 3] }), ...layers] },
  });

const penaltyOf = (config: object): unknown =>
  takeActivityPenalties(expanded(layer('Dense', { name: 'd', units: 3, ...config }))).penalties.get('d');

test('regularizers of outputs have one form, with the defaults of Keras', () => {
  const penalty = (class_name: string, config: object) =>
    penaltyOf({ activity_regularizer: regularizer(class_name, config) });
  expect(penalty('L1', {})).toEqual({ l1: 0.01, l2: 0, activation: null });
  expect(penalty('L2', { l2: 0.3 })).toEqual({ l1: 0, l2: 0.3, activation: null });
  expect(penalty('L1L2', { l2: 0.5 })).toEqual({ l1: 0, l2: 0.5, activation: null });
  expect(penalty('L1L2', { l1: 0, l2: 0 })).toBeUndefined();
  expect(penaltyOf({ activity_regularizer: null })).toBeUndefined();
});

test('ActivityRegularization is an identity with a penalty', () => {
  const topology = expanded(layer('ActivityRegularization', { name: 'a', l1: 0.2 }));
  const [, last] = layersOf(topology as unknown as LayerConfig);
  expect(last?.class_name).toBe('Identity');
  expect(takeActivityPenalties(topology).penalties.get('a')).toEqual({ l1: 0.2, l2: 0, activation: null });
});

test('a topology without penalties stays as it is', () => {
  const topology = expanded(layer('Dense', { name: 'd', units: 3 }));
  expect(hasActivityPenalties(topology)).toBe(false);
  expect(takeActivityPenalties(topology).topology).toBe(topology);
});

test('scores contain the penalties of the samples, and losses of logits lose their limits', () => {
  const dense = (config: object) => layer('Dense', { name: 'd', units: 3, activation: 'softmax', ...config });
  const scoring = (config: object) =>
    new Scoring({
      topology: expanded(dense(config)),
      ...imageTensors([3], 3),
      outputs: [classOutput('d', 3)],
    });
  const shard = { sampleNumbers: Uint32Array.of(0, 1), targets: [Uint8Array.of(0, 2)] };
  const outputs = [[1, 2, 3, 0, 0, 0]];
  const plain = scoring({});
  const penalized = scoring({ activity_regularizer: regularizer('L2', { l2: 1 }) });
  const { lossSum } = plain.score(outputs, shard);
  expect(penalized.score([...outputs, [0.25, 4]], shard).lossSum).toBeCloseTo(lossSum + 4.25, 12);
  expect(plain.findImpossible({ lossSum: 1e60, metrics: [0] }, 2)).toContain('is not possible');
  expect(penalized.findImpossible({ lossSum: 1e60, metrics: [0] }, 2)).toBeNull();
  expect(plain.chanceLoss).toBeCloseTo(Math.log(3), 12);
  expect(penalized.chanceLoss).toBeNull();
});
