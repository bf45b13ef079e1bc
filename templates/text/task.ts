import { defineTask, earlyStopping } from 'gradcast';

// A text file. The model predicts each character from those before it.
export default defineTask({
  data: 'data/text.txt',
  optimizer: { name: 'adam', learningRate: 0.005 },
  batchSize: 16,
  epochs: 4,
  callbacks: [earlyStopping({ patience: 2, restoreBestWeights: true })],
});
