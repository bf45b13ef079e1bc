import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { withCallbacks, withTask, type ParsedRun } from '../../cli/task-flags.ts';
import { addTrainingOptions } from '../../cli/train.ts';
import type { Task } from '../../coordinator/task/task.ts';

const run = (task: Task, line = ''): Readonly<Record<string, unknown>> => parse(task, line).flags;

/** A run with a task file, as a command parses it. */
function parse(task: Task, line = ''): ParsedRun<Readonly<Record<string, unknown>>> {
  const command = addTrainingOptions(new Command('train')).exitOverride();
  command.parse(line.split(' ').filter(Boolean), { from: 'user' });
  const isGiven = (key: string): boolean => ['cli', 'env'].includes(command.getOptionValueSource(key) ?? '');
  return withTask(command.opts(), task, isGiven);
}

const task: Task = {
  model: '/models/m.keras',
  data: { source: '/data', limit: 100, transpose: true },
  batchSize: 32,
  epochs: 5,
  seed: 7,
  loss: 'mse',
  metrics: ['mae'],
  classWeights: { 0: 2 },
  exact: true,
  microShard: 8,
  optimizer: { name: 'adam', learningRate: 0.01, beta1: 0.8 },
};

describe('a task file', () => {
  it('gives its settings in place of defaults', () => {
    expect(run(task)).toMatchObject({
      model: '/models/m.keras',
      data: '/data',
      limit: 100,
      transpose: true,
      batchSize: 32,
      epochs: 5,
      seed: 7,
      loss: 'mse',
      metrics: ['mae'],
      classWeights: { 0: 2 },
      exact: true,
      microShard: 8,
      optimizer: { name: 'adam', learningRate: 0.01, beta1: 0.8 },
    });
    expect(run({})).toMatchObject({ seed: 1337, microShard: 16 });
    expect(run({})).not.toHaveProperty('batchSize');
  });

  it.each([
    ['--epochs 2', { epochs: 2 }],
    ['--batch-size 128', { batchSize: 128 }],
    ['--seed 1337', { seed: 1337 }],
    ['--loss mae', { loss: 'mae' }],
    ['--metrics mse,accuracy', { metrics: ['mse', 'accuracy'] }],
    ['--class-weights 1:3', { classWeights: { 1: 3 } }],
    ['--model other.keras', { model: 'other.keras' }],
    ['--weights w.h5', { weights: 'w.h5', model: '/models/m.keras' }],
    ['--micro-shard 16', { microShard: 16 }],
    ['--limit 7', { data: '/data', limit: 7, transpose: true }],
    ['--optimizer sgd', { optimizer: { name: 'sgd' } }],
    ['--learning-rate 0.5', { optimizer: { name: 'adam', learningRate: 0.5, beta1: 0.8 } }],
    [
      '--schedule cosine --warmup-steps 3',
      { optimizer: { name: 'adam', learningRate: 0.01, schedule: { name: 'cosine', warmupSteps: 3 } } },
    ],
  ])('is replaced by %s', (line, expected) => {
    expect(run(task, line)).toMatchObject(expected);
  });

  it('has no part in data that the command line names', () => {
    const flags = run(task, '--data other');
    expect(flags.data).toBe('other');
    expect(flags.limit).toBeUndefined();
    expect(flags.transpose).toBeUndefined();
  });

  it('may name its optimizer only', () => {
    expect(run({ optimizer: 'adam' })).toMatchObject({ optimizer: { name: 'adam' } });
    expect(run({}, '--optimizer adam')).toMatchObject({ optimizer: { name: 'adam' } });
    expect(run({})).not.toHaveProperty('optimizer');
    expect(run(task, '--learning-rate 0.5')).not.toHaveProperty('learningRate');
    expect(() => run(task, '--momentum 0.9')).toThrow('--momentum is no option of the optimizer adam');
  });

  it('keeps arrays and functions, and refuses options of files for them', () => {
    const data = { x: [[0], [1]], y: [0, 1] };
    const model = () => ({ class_name: 'Sequential', config: {} });
    expect(parse({ data, model, lossWeights: [1] }).own).toMatchObject({ data, model, lossWeights: [1] });
    expect(parse({ data, model }, '--data other --model m.keras')).toMatchObject({
      flags: { data: 'other', model: 'm.keras' },
      own: { data: undefined, model: undefined },
    });
    expect(() => run({ data }, '--limit 1')).toThrow('--limit is for data that is read from files');
  });

  it('has all options of data', () => {
    const options = {
      source: 'a.csv',
      test: 'b.csv',
      format: 'csv',
      target: 'y',
      imageSize: [8, 8],
    } as const;
    expect(run({ data: options }, '--target z --validation-split 0.1')).toMatchObject({
      ...{ data: 'a.csv', testData: 'b.csv', format: 'csv', target: ['z'], imageSize: [8, 8] },
      validationSplit: 0.1,
    });
  });

  it('leaves a resumed run its model, batches and seed', () => {
    const flags = run(task, '--resume runs/a');
    expect(flags).toMatchObject({ epochs: 5, loss: 'mse', seed: 1337 });
    expect(flags).not.toHaveProperty('batchSize');
    expect(flags).not.toHaveProperty('model');
    expect(flags).not.toHaveProperty('exact');
  });
});

it('callbacks of the command line replace those of the file with the same name', () => {
  const [stopping, own, csv] = [{ name: 'earlyStopping' }, {}, { name: 'csvLog' }];
  const other = { name: 'earlyStopping', state: () => ({}) };
  expect(withCallbacks([stopping, own, csv], [other])).toEqual([own, csv, other]);
  expect(withCallbacks(undefined, [other])).toEqual([other]);
});
