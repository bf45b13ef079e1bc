import { expect, test } from 'vitest';
import { layerCases } from '../support/keras-layers.ts';
import { testLayersOnNative } from '../support/native-layers.ts';
import { withNative } from '../support/native.ts';

/** One of each kind; the rest is in native-layers.long.test.ts. */
const KINDS = [
  'AveragePooling2D same, 3 by 2',
  'AveragePooling1D same, 3 by 2',
  'ReLU {"negative_slope": 0.2, "threshold": 0.1}',
  'UpSampling2D bilinear 3 x 2',
  'frozen and trained BatchNormalization',
  'nested model called with training=False',
  'BatchNormalization {"center": false, "scale": false}',
  'LayerNormalization {"scale": false} over axes 1 and 2',
  'GRU, reset_after True',
  'TimeDistributed BatchNormalization',
];
const cases = layerCases.filter(({ name }) => KINDS.includes(name));

test('every kind is there', () => expect(cases).toHaveLength(KINDS.length));

await withNative((native) => testLayersOnNative(native, cases));
