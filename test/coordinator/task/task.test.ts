import { expect, test } from 'vitest';
import { checkTask, defineTask, type Task } from '../../../coordinator/task/task.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';

test('a task is returned as it is', () => {
  const task = { model: 'model.keras', optimizer: 'adam', epochs: 3 } as const;
  expect(defineTask(task)).toBe(task);
  expect(checkTask(task)).toBe(task);
});

test.each<[unknown, string]>([
  [null, 'The task is no object with settings such as model, data and epochs. Use defineTask({ ... }).'],
  [[], 'The task is no object with settings'],
  [{ learningRate: 1 }, 'The task has no setting learningRate. It has model, weights, data, loss, metrics,'],
  [{ epochs: 'three' }, 'The task: epochs is wrong: Expected number but received "three".'],
  [{ batchSize: 0 }, 'The task: batchSize is wrong: Expected >=1 but received 0.'],
  [{ seed: 2 ** 32 }, 'The task: seed is wrong: '],
  [
    { data: { source: 'a.csv', target: 'price', limt: 5 } },
    "The task: data has no setting limt. Did you mean 'limit'? It has source, test, limit, format,",
  ],
  [
    { data: { source: 'a.csv', limit: '5' } },
    'The task: data: limit is wrong: Expected number but received "5".',
  ],
  [{ data: { source: 'a.csv', format: 'parquett' } }, "Did you mean 'parquet'?"],
  [
    { data: { x: [[1]], y: [1], xtest: [[1]] } },
    "The task: data has no setting xtest. Did you mean 'xTest'?",
  ],
  [{ data: { x: [[1]] } }, 'The task: data: y is wrong: '],
  [{ classWeights: { 1: -1 } }, 'The task: classWeights.1 is wrong: Expected >=0 but received -1.'],
])('%j is refused with a sentence', (task, sentence) => {
  expect(() => checkTask(task)).toThrow(TypeError);
  expect(() => checkTask(task)).toThrow(sentence);
});

test.each<Task['data']>([
  undefined,
  'a.csv',
  {
    ...{
      source: 'a',
      test: 'b',
      limit: 5,
      format: 'csv',
      validationSplit: 0.1,
      transpose: true,
      imageSize: [1, 2],
    },
    ...{
      channels: 1,
      fit: 'crop',
      target: ['a'],
      ignore: [],
      types: { a: 'number' },
      tokenizer: 't',
      sequenceLength: 3,
    },
  },
  { x: { a: [[1]] }, y: new Float32Array(1), xTest: undefined, sampleWeights: [1], name: 'own' },
  syntheticDigits({ seed: 1, trainCount: 1, testCount: 1 }),
])('data %# is taken', (data) => {
  const task = { data };
  expect(checkTask(task)).toBe(task);
});

test('the file of a task is named in the error', () => {
  expect(() => checkTask({ lr: 1 }, 'task.json')).toThrow('task.json has no setting lr. It has model,');
});
