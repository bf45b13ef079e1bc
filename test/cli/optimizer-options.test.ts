import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addOptimizerOptions, readOptimizerFlags } from '../../cli/optimizer-options.ts';
import { addTrainingOptions, withOptimizer } from '../../cli/train.ts';

function parse(line: string, add = addOptimizerOptions): Record<string, unknown> {
  const command = add(new Command('train'))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.parse(line === '' ? [] : line.split(' '), { from: 'user' });
  return command.opts();
}
const read = (line: string) => readOptimizerFlags(parse(line));

describe('options of the optimizer', () => {
  it.each([
    ['', undefined],
    ['--optimizer adam', { name: 'adam' }],
    ['--learning-rate 0.5', { name: 'adadelta', learningRate: 0.5 }],
    [
      '--optimizer adamw --learning-rate 3e-4 --weight-decay 0.01 --no-decay bias,gamma',
      { name: 'adamw', learningRate: 3e-4, weightDecay: 0.01, noDecay: ['bias', 'gamma'] },
    ],
    [
      '--optimizer sgd --momentum 0.9 --nesterov --global-clip-norm 1 --accumulate 4',
      { name: 'sgd', momentum: 0.9, nesterov: true, globalClipNorm: 1, accumulate: 4 },
    ],
    ['--optimizer adam --ema', { name: 'adam', ema: {} }],
    [
      '--optimizer adam --ema 0.9 --ema-overwrite 10 --beta-1 0.8 --beta-2 0.9',
      { name: 'adam', beta1: 0.8, beta2: 0.9, ema: { momentum: 0.9, overwriteSteps: 10 } },
    ],
    [
      '--schedule cosine-restarts --decay-steps 100 --alpha 0.1',
      { name: 'adadelta', schedule: { name: 'cosineRestarts', decaySteps: 100, alpha: 0.1 } },
    ],
    [
      '--optimizer sgd --schedule piecewise --boundaries 10,20 --rates 0.1,0.01,1e-3',
      { name: 'sgd', schedule: { name: 'piecewise', boundaries: [10, 20], rates: [0.1, 0.01, 0.001] } },
    ],
    [
      '--schedule plateau --monitor val_accuracy --patience 2 --min-learning-rate 1e-5',
      {
        name: 'adadelta',
        schedule: { name: 'plateau', monitor: 'val_accuracy', patience: 2, minLearningRate: 1e-5 },
      },
    ],
  ])('%s', (line, expected) => {
    expect(read(line)).toEqual(expected);
  });

  it.each([
    [
      '--optimizer adam --momentum 0.9',
      '--momentum is no option of the optimizer adam. It belongs to muon, rmsprop, sgd.',
    ],
    [
      '--rho 0.9 --optimizer sgd',
      '--rho is no option of the optimizer sgd. It belongs to adadelta, rmsprop.',
    ],
    ['--warmup-steps 10', '--warmup-steps needs --schedule cosine.'],
    [
      '--schedule cosine --staircase',
      '--staircase is no option of the schedule cosine. It belongs to exponential, inverse-time.',
    ],
    ['--schedule piecewise --rates 1', '--schedule piecewise needs --boundaries and --rates'],
    ['--ema-overwrite 3', '--ema-overwrite needs --ema'],
  ])('%s is an error', (line, message) => {
    expect(() => read(line)).toThrow(message);
  });

  it.each([
    ['--model a.keras --learning-rate 0.5', { learningRate: 0.5 }],
    ['--model a.keras --decay-steps 9 --alpha 0.1', { schedule: { decaySteps: 9, alpha: 0.1 } }],
    ['--model a.keras --schedule cosine', { schedule: { name: 'cosine' } }],
    ['--model a.keras --ema --momentum 0.9', { ema: {}, momentum: 0.9 }],
    ['--model a.keras --optimizer sgd --momentum 0.9', { name: 'sgd', momentum: 0.9 }],
    ['--model a.keras', undefined],
  ])('%s changes the optimizer that the model was compiled with', (line, expected) => {
    const flags = parse(line, addTrainingOptions);
    expect(readOptimizerFlags(flags)).toEqual(expected);
  });

  it.each([
    '--learning-rate x',
    '--learning-rate -1',
    '--boundaries 1,b',
    '--optimizer ada',
    '--clip-norm 0',
  ])('%s is rejected by the parser', (line) => {
    expect(() => read(line)).toThrow(/argument/);
  });

  it('take the place of the flags', () => {
    const flags = withOptimizer(parse('--epochs 3 --optimizer lion --beta-2 0.9', addTrainingOptions));
    expect(flags).toMatchObject({ epochs: 3, optimizer: { name: 'lion', beta2: 0.9 } });
    expect(flags).not.toHaveProperty('beta2');
    expect(withOptimizer(parse('--epochs 3', addTrainingOptions))).not.toHaveProperty('optimizer');
    for (const line of ['--model a.keras', '--batch-size 3', '--seed 2'])
      expect(() => parse(`--resume runs/a ${line}`, addTrainingOptions)).toThrow(
        /cannot be used with option/,
      );
  });
});
