import { execFileSync } from 'node:child_process';
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import {
  describeProfile,
  profileEngine,
  type Profile,
} from '../../../../worker-node/engine/benchmark/profile.ts';
import { OpTimer } from '../../../../worker-node/engine/benchmark/op-timer.ts';
import { timeKernels, timeNativeOps } from '../../../../worker-node/engine/benchmark/time-ops.ts';
import { withNative } from '../../../support/native.ts';
import { gradcast } from '../../../support/worker-process.ts';

/** Timer whose time passes only when the test calls `pass`. */
function manualClock(): { clock: OpTimer; pass: (ms: number) => void } {
  let nowMs = 0;
  return {
    clock: new OpTimer(() => nowMs),
    pass: (ms) => {
      nowMs += ms;
    },
  };
}

test('times are summed by op and shapes, per step, longest first', () => {
  const { clock, pass } = manualClock();
  clock.time('Warm', () => '[1]', () => pass(100)); // prettier-ignore
  clock.reset();
  for (let step = 0; step < 2; step++) {
    clock.time('Relu', () => '[2]', () => pass(1)); // prettier-ignore
    clock.time('Conv2D', () => '[2]', () => pass(5)); // prettier-ignore
    clock.time('Conv2D', () => '[2]', () => pass(3)); // prettier-ignore
    clock.time('Conv2D', () => '[4]', () => pass(2)); // prettier-ignore
  }
  expect(clock.times(2)).toEqual([
    { op: 'Conv2D', inputs: '[2]', calls: 2, ms: 8 },
    { op: 'Conv2D', inputs: '[4]', calls: 1, ms: 2 },
    { op: 'Relu', inputs: '[2]', calls: 1, ms: 1 },
  ]);
});

test('nested ops count once, and an op that throws counts too', () => {
  const { clock, pass } = manualClock();
  clock.time('Outer', () => '', () => clock.time('Inner', () => '', () => pass(4))); // prettier-ignore
  const fail = (): void => {
    pass(1);
    throw new Error('no such shape');
  };
  expect(() => clock.time('Failing', () => '', fail)).toThrow('no such shape');
  expect(clock.times(1).map(({ op, ms }) => [op, ms])).toEqual([
    ['Outer', 4],
    ['Failing', 1],
  ]);
});

test('the table has shares of all ops, and small ones in one line', () => {
  const op = (name: string, ms: number) => ({ op: name, inputs: '[8,4] [4]', calls: 2, ms });
  const profile: Profile = {
    engine: 'TensorFlow 2.21.0',
    gpu: true,
    threads: 2,
    batch: 64,
    steps: 20,
    stepMs: 101,
    ops: [op('Conv2D', 79.4), op('Relu', 20), op('Sum', 0.4), op('Max', 0.2)],
    captured: { stepMs: 40, ops: [op('(captured graph)', 40)] },
  };
  const text = describeProfile(profile).join('\n');
  expect(text).toContain('on TensorFlow 2.21.0, 2 threads, batch 64');
  expect(text).toMatch(/^Conv2D +2 +79\.40 +79\.4% {2}\[8,4\] \[4\]$/m);
  expect(text).toMatch(/^2 others +4 +0\.60 +0\.6%$/m);
  expect(text).toMatch(/^all +8 +100\.00 +100\.0%$/m);
  expect(text).toMatch(/Captured as a graph, as workers run it: 40\.0 ms/);
  expect(text).toContain('those of starting an op');
});

test('kernels of a backend are timed, compute the same, and are restored', async () => {
  await tf.setBackend('cpu');
  const before = tf.getKernel('Add', 'cpu');
  const { clock } = manualClock();
  const putBack = timeKernels(tf, 'cpu', clock);
  expect(tf.add([1, 2], [3]).dataSync()).toEqual(Float32Array.of(4, 5));
  putBack();
  expect(tf.getKernel('Add', 'cpu')).toBe(before);
  expect(clock.times(1)).toEqual([{ op: 'Add', inputs: '[2] [1]', calls: 1, ms: 0 }]);
});

test('a step of the default model on WebAssembly is profiled op by op', async () => {
  const { engine, captured, ops, stepMs } = await profileEngine('wasm', 3, 2);
  expect([engine, captured]).toEqual(['WebAssembly', null]);
  expect(ops.map(({ op }) => op)).toEqual(
    expect.arrayContaining(['BiasedConvolution', 'PooledConvolution', 'PooledConvolutionGradFilter']),
  );
  expect(ops.every(({ calls }) => Number.isInteger(calls))).toBe(true);
  expect(stepMs).toBeGreaterThan(0);
});

test('the command prints the table, or JSON; its help has both', () => {
  const run = (...args: string[]): string =>
    execFileSync(process.execPath, [gradcast, 'engine', ...args], { encoding: 'utf8' });
  const profile = ['--profile', '--engine', 'wasm', '--batch', '2'];
  expect(run(...profile)).toMatch(/^PooledConvolutionGradFilter +1 +\d/m);
  expect(JSON.parse(run(...profile, '--json'))).toMatchObject({ engine: 'WebAssembly', batch: 2 });
  expect(run('--help')).toMatch(/--profile[^]*--json|--json[^]*--profile/);
});

await withNative(({ tf: native, backend }) => {
  test('ops of the addon are timed, and the addon is restored', async () => {
    await native.setBackend('tensorflow');
    const { binding } = backend;
    const { clock } = manualClock();
    const putBack = timeNativeOps(backend, clock);
    const tensor = native.tidy(() => native.matMul(native.ones([2, 3]), native.ones([3, 4])));
    expect([...tensor.dataSync()]).toEqual(new Array(8).fill(3));
    tensor.dispose();
    putBack();
    expect(backend.binding).toBe(binding);
    const told = clock.times(1).map(({ op, inputs }) => `${op} ${inputs}`.trim());
    expect(told.some((line) => /^(BatchMatMulV2|MatMul).*\[2,3\].*\[3,4\]/.test(line))).toBe(true);
    expect(told).toContain('(values read back) [2,4]');
  });

  test('a step on native TensorFlow is profiled op by op and as a graph', async () => {
    const profile = await profileEngine('native', 3, 2);
    expect(profile.ops.map(({ op }) => op)).toEqual(
      expect.arrayContaining(['Conv2D', 'Conv2DBackpropFilter', 'MaxPoolGrad', 'ReluGrad', 'BiasAddGrad']),
    );
    expect(profile.captured?.ops.map(({ op }) => op)).toContain('(captured graph)');
    expect(profile.captured?.ops.map(({ op }) => op)).not.toContain('Conv2D');
  });
});
