import { defineTask, earlyStopping } from 'gradcast';

// Four IDX files, as those of MNIST: images and labels, to train on and to test.
export default defineTask({
  data: 'data/',
  optimizer: { name: 'adam', learningRate: 0.003 },
  batchSize: 32,
  epochs: 6,
  callbacks: [earlyStopping({ patience: 2, restoreBestWeights: true })],
});
