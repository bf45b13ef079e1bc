import { expect, test } from 'vitest';
import { checkTask, defineTask } from '../../../coordinator/task/task.ts';

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
  [{ classWeights: { 1: -1 } }, 'The task: classWeights.1 is wrong: Expected >=0 but received -1.'],
])('%j is refused with a sentence', (task, sentence) => {
  expect(() => checkTask(task)).toThrow(TypeError);
  expect(() => checkTask(task)).toThrow(sentence);
});

test('the file of a task is named in the error', () => {
  expect(() => checkTask({ lr: 1 }, 'task.json')).toThrow('task.json has no setting lr. It has model,');
});
