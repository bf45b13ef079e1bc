// Reads the events of a run, and stops it when it does not improve any more.
import { train } from 'gradcast';

const PATIENCE = 3;
const x = Array.from({ length: 300 }, (_, i) => [Math.sin(i * 12.9898), Math.sin(i * 78.233)]);
const y = x.map(([a, b]) => Number(a > b));

const controller = new AbortController();
process.once('SIGINT', () => controller.abort());

const run = train(
  {
    data: { x, y, name: 'halves' },
    model: (tf) =>
      tf.sequential({ layers: [tf.layers.dense({ units: 2, activation: 'softmax', inputShape: [2] })] }),
    optimizer: {
      name: 'sgd',
      learningRate: 2,
      schedule: { name: 'exponential', decaySteps: 4, decayRate: 0.3 },
    },
    batchSize: 60,
    epochs: 1_000,
  },
  { workers: 1, signal: controller.signal },
);

let best = Infinity;
let epochsWithoutProgress = 0;
for await (const event of run) {
  if (event.type === 'step') {
    if (process.stdout.isTTY)
      process.stdout.write(`\r${event.step}/${event.steps} loss ${event.loss.toFixed(3)}`);
    continue;
  }
  console.log(`\repoch ${event.epoch}: val_loss ${event.val_loss.toFixed(4)}`);
  const isBetter = event.val_loss < best - 0.001;
  if (isBetter) best = event.val_loss;
  epochsWithoutProgress = isBetter ? 0 : epochsWithoutProgress + 1;
  if (epochsWithoutProgress === PATIENCE) controller.abort();
}
const model = await run;
await model.save('model');
console.log(`Stopped after ${model.history.length} epochs, accuracy ${model.scores.val_accuracy.toFixed(2)}`);
