import { csvLog, defineTask, earlyStopping, tensorBoard, type Callback } from 'gradcast';

const x = Array.from({ length: 400 }, (_, i) => [Math.sin(i * 12.9898), Math.sin(i * 78.233)]);
const y = x.map(([a = 0, b = 0]) => [a * b]);

const printBest: Callback = {
  name: 'printBest',
  onTrainEnd({ epoch, logs, info }) {
    info(`Stopped after epoch ${epoch} with a loss of ${logs.val_loss?.toFixed(4)}`);
  },
};

export default defineTask({
  data: { x, y, name: 'product' },
  model: (tf) =>
    tf.sequential({
      layers: [
        tf.layers.dense({ units: 16, activation: 'tanh', inputShape: [2] }),
        tf.layers.dense({ units: 1 }),
      ],
    }),
  optimizer: { name: 'adam', learningRate: 0.02 },
  batchSize: 40,
  epochs: 60,
  callbacks: [
    earlyStopping({ baseline: 0.02, patience: 10, restoreBestWeights: true }),
    csvLog('history.csv'),
    tensorBoard({ dir: 'logs' }),
    printBest,
  ],
});
