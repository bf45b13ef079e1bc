import { defineTask, earlyStopping } from 'gradcast';

// A CSV file with a header. The column `species` is predicted from the others, numbers and categories alike.
export default defineTask({
  data: 'data/animals.csv',
  optimizer: { name: 'adam', learningRate: 0.01 },
  batchSize: 16,
  epochs: 20,
  callbacks: [earlyStopping({ patience: 4, restoreBestWeights: true })],
});
