// Trains with the engine of engine.js, in this process.
import { train } from 'gradcast';
import { plainEngine } from './engine.js';

const x = Array.from({ length: 300 }, (_, i) => [Math.sin(i * 12.9898), Math.sin(i * 78.233)]);
const y = x.map(([a, b]) => (a > 0.3 ? 2 : Number(b > 0)));

const model = await train(
  {
    data: { x, y, name: 'thirds' },
    model: (tf) =>
      tf.sequential({ layers: [tf.layers.dense({ units: 3, activation: 'softmax', inputShape: [2] })] }),
    optimizer: { name: 'adam', learningRate: 0.1 },
    batchSize: 30,
    epochs: 10,
  },
  { engine: plainEngine },
);
console.log(`Test accuracy: ${model.scores.val_accuracy.toFixed(2)}`);
console.log('Class of [0.9, 0]:', (await model.predict([[0.9, 0]]))[0].map((p) => p.toFixed(2)).join(' '));
