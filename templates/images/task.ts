import { defineTask, earlyStopping } from 'gradcast';

// A folder of images, with a folder for each class. A fifth of them is not trained on, but tested.
export default defineTask({
  data: 'data/',
  optimizer: { name: 'adam', learningRate: 0.003 },
  batchSize: 32,
  epochs: 8,
  callbacks: [earlyStopping({ patience: 3, restoreBestWeights: true })],
});
