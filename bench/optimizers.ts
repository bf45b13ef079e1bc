// Measures a step of each optimizer at 1.2 million weights, and the price of what is done around the rule. Arguments: [steps = 100]
import { scaleOptimizer } from '../coordinator/model/model.ts';
import { OPTIMIZER_NAMES, type OptimizerOptions } from '../coordinator/optimizer/hyperparameters.ts';
import { createOptimizer } from '../coordinator/optimizer/optimizer.ts';
import { resolveOptimizer } from '../coordinator/optimizer/optimizer-options.ts';
import { layoutOf } from '../shared/model/layout.ts';
import { spread } from './support/statistics.ts';

const steps = Number(process.argv[2] ?? 100);
const WARM_UP = 10;
const SHAPES = [[3, 3, 1, 32], [32], [3, 3, 32, 64], [64], [9216, 128], [128], [128, 10], [10]];
const layout = layoutOf(SHAPES.map((shape) => ({ shape, trainable: true })));
const names = SHAPES.map((shape, i) => `layer${i >> 1}/${shape.length > 1 ? 'kernel' : 'bias'}`);
const gradient = Float32Array.from({ length: layout.length }, (_, i) => Math.sin(i) * 1e-2);
const initial = Float32Array.from({ length: layout.length }, (_, i) => Math.cos(i) * 1e-1);

const variants: [string, OptimizerOptions][] = [
  ...OPTIMIZER_NAMES.map((name): [string, OptimizerOptions] => [name, { name }]),
  ['sgd, momentum', { name: 'sgd', momentum: 0.9 }],
  ['adam, amsgrad', { name: 'adam', amsgrad: true }],
  ['rmsprop, centered, momentum', { name: 'rmsprop', centered: true, momentum: 0.9 }],
  ['adam, clipNorm', { name: 'adam', clipNorm: 1 }],
  ['adam, globalClipNorm', { name: 'adam', globalClipNorm: 1 }],
  ['adam, clipValue', { name: 'adam', clipValue: 1 }],
  ['adam, accumulate', { name: 'adam', accumulate: 2 }],
  ['adam, ema', { name: 'adam', ema: {} }],
  ['adam, cosine', { name: 'adam', schedule: { name: 'cosine' } }],
];

console.log(`${layout.length} weights, ${steps} steps`);
for (const [label, options] of variants) {
  const count = options.name === 'muon' ? Math.max(3, Math.ceil(steps / 20)) : steps;
  const context = { names, steps, adadelta: scaleOptimizer(128) };
  const optimizer = createOptimizer(resolveOptimizer(options, context), layout);
  optimizer.weights.set(initial);
  const times: number[] = [];
  for (let step = -WARM_UP; step < count; step++) {
    optimizer.gradientSum.set(gradient);
    const startedMs = performance.now();
    optimizer.apply({ step: step + WARM_UP, samples: 128 });
    if (step >= 0) times.push(performance.now() - startedMs);
  }
  console.log(`${label}: ${spread(times)} ms`);
}
