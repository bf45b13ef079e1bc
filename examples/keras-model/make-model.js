// Writes the topology of a model, as model.to_json() of Keras 3 does, and points of two kinds as a table.
import { writeFileSync } from 'node:fs';

const layer = (class_name, config) => ({ module: 'keras.layers', class_name, config, registered_name: null });
const topology = {
  ...layer('Sequential', {
    name: 'points',
    layers: [
      layer('InputLayer', { name: 'input', batch_shape: [null, 2], dtype: 'float32' }),
      layer('Dense', { name: 'hidden', units: 16, activation: 'relu' }),
      layer('Dense', { name: 'kind', units: 2, activation: 'softmax' }),
    ],
  }),
  module: 'keras',
};
writeFileSync('model.json', JSON.stringify(topology));

const points = Array.from({ length: 400 }, (_, i) => [Math.sin(i * 12.9898), Math.sin(i * 78.233)]);
const rows = points.map(([x, y]) => [x, y, x * x + y * y < 0.8 ? 'inside' : 'outside'].join(','));
writeFileSync('points.csv', ['x,y,kind', ...rows].join('\n'));
