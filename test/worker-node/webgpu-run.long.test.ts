import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Topology } from '../../shared/model/job.ts';
import { readGpusInChild } from '../../worker-node/engine/benchmark/gpus-in-child.ts';
import { gpuEnv } from '../../worker-node/engine/webgpu/open-webgpu.ts';
import { gpuKey, saveGpuChoice } from '../../worker-node/engine/webgpu/saved-choice.ts';
import { webGpuFolder } from '../../worker-node/engine/webgpu/webgpu-package.ts';
import { bundleOf, threeInputs } from '../support/custom-code.ts';
import { loadDigits } from '../support/digits.ts';
import { mixedRunDifferences, smallCnn, smoothTopology } from '../support/mixed-run.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { trainToEnd } from '../support/training-run.ts';
import { relativeDifference } from '../support/vectors.ts';
import { describeWebGpu } from '../support/webgpu.ts';
import {
  gradcast,
  spawnGradcast,
  spawnWorker,
  unlessEnded,
  type WorkerProcess,
} from '../support/worker-process.ts';

const TOLERANCE = 1e-4;
const STEPS = 8;

/** Layer that returns its input, and destroys the GPU on its third call in a thread. */
const DESTROYS = `export default (tf) => {
  let calls = 0;
  class Destroys extends tf.layers.Layer {
    static className = 'Destroys';
    call(inputs) {
      if (++calls === 3) tf.backend().device?.destroy();
      return tf.clone(Array.isArray(inputs) ? inputs[0] : inputs);
    }
    computeOutputShape(shape) {
      return shape;
    }
  }
  return { layers: [Destroys] };
};
`;

const model = (middle: string): Topology => ({
  class_name: 'Sequential',
  config: {
    name: 'destroyed',
    layers: [
      { class_name: 'Dense', config: { units: 8, activation: 'tanh', batch_input_shape: [null, 3] } },
      { class_name: middle, config: { name: 'middle', activation: 'linear' } },
      { class_name: 'Dense', config: { units: 1 } },
    ],
  },
});
const LOST = /The engine was lost: .*\. (It is opened again|Another engine is used)\./g;

describeWebGpu((env) => {
  const environment = { ...process.env, ...env };
  const startWorker = (url: string, engine: string, own: NodeJS.ProcessEnv = {}, ...options: string[]) =>
    spawnGradcast(['worker', url, '--workers', '1', '--engine', engine, ...options], {
      ...environment,
      ...own,
    });

  test('a WebGPU and a WebAssembly worker together compute the gradient that each computes alone', async () => {
    const found = await mixedRunDifferences({
      ...{ engines: ['webgpu', 'wasm'], steps: STEPS, batchSize: 12, topology: smoothTopology },
      env: environment,
    });
    expect(found).toHaveLength(STEPS);
    for (const difference of found) expect(difference).toBeLessThan(TOLERANCE);
  });

  test('and that of a model with ReLU and max-pools, except for its discontinuities', async () => {
    const found = await mixedRunDifferences({
      ...{ engines: ['webgpu', 'wasm'], steps: STEPS, batchSize: 12, topology: smallCnn },
      env: environment,
    });
    const sorted = found.toSorted((a, b) => a - b);
    // See docs/decisions/0026-mixed-engines.md.
    expect(sorted[STEPS >> 1]).toBeLessThan(TOLERANCE / 10);
    expect(found.filter((difference) => difference >= TOLERANCE).length).toBeLessThanOrEqual(1);
    expect(sorted.at(-1)).toBeLessThan(5e-3);
  });

  /** Trains on workers. @returns the weights, and the numbers of samples of the steps */
  async function trainOn(middle: string, start: (url: string, hash: string) => WorkerProcess[]) {
    const custom = await bundleOf(DESTROYS);
    const coordinator = await testCoordinator(threeInputs, {
      ...{ custom, topology: model(middle), loss: 'meanSquaredError', optimizer: { name: 'adam' } },
      ...{ batchSize: 24, epochs: 3 },
    });
    const workers = start(coordinator.url, custom.code.hash);
    await unlessEnded(workers, waitForWorkersReady(coordinator, workers.length));
    const { weights, samples } = await unlessEnded(workers, trainToEnd(coordinator, threeInputs));
    await coordinator.close('done');
    for (const worker of workers) expect(await worker.ended, worker.output()).toBe(0);
    return { weights, samples, workers };
  }

  test.for(process.platform === 'linux' ? (['webgpu', 'auto'] as const) : (['webgpu'] as const))(
    'a worker whose GPU is lost joins again, and takes another engine after another loss: %s',
    async (engine) => {
      const own = engine === 'auto' ? await preferGpu(env) : {};
      const { weights, samples, workers } = await trainOn('Destroys', (url, hash) => [
        startWorker(url, engine, own, '--trust', hash),
      ]);
      expect(workers[0]?.output()).toContain(
        engine === 'auto' ? 'the fastest here, as measured' : 'webgpu on ',
      );
      const lines = workers[0]?.output().match(LOST) ?? [];
      expect(lines.map((line) => line.split('. ').at(-1))).toEqual([
        'It is opened again.',
        'Another engine is used.',
      ]);
      // No sample of 12 steps of 24 is missing in the weights or counts twice.
      expect(samples).toEqual(Array.from({ length: 12 }, () => 24));
      const whole = await trainOn('Activation', (url, hash) => [spawnWorker(url, '--trust', hash)]);
      expect(relativeDifference(weights, whole.weights)).toBeLessThan(TOLERANCE);
    },
  );

  test('a person trains and evaluates on the GPU, in an exact run too', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gradcast-gpu-train-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const rows = Array.from(
      { length: 40 },
      (_, i) => `${Math.sin(i)},${Math.cos(i)},${i % 2 ? 'odd' : 'even'}`,
    );
    await writeFile(join(folder, 'data.csv'), ['a,b,y', ...rows].join('\n'));
    const dense = { units: 2, activation: 'softmax', batch_input_shape: [null, 2] };
    const small = {
      class_name: 'Sequential',
      config: { name: 'm', layers: [{ class_name: 'Dense', config: dense }] },
    };
    await writeFile(join(folder, 'model.json'), JSON.stringify(small));
    const out = join(folder, 'run');
    const run = async (...args: string[]): Promise<string> => {
      const gradcast = spawnGradcast([...args, '--engine', 'webgpu'], environment);
      expect(await gradcast.ended, gradcast.output()).toBe(0);
      return gradcast.output();
    };
    const data = ['--data', join(folder, 'data.csv'), '--target', 'y'];
    await run(
      'train',
      ...data,
      '--model',
      join(folder, 'model.json'),
      '--epochs',
      '1',
      '--exact',
      '--out',
      out,
    );
    const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8')) as {
      readonly engine: string;
    };
    expect(config.engine).toBe('webgpu');
    expect(await run('evaluate', out, ...data)).toMatch(/^Test loss: \d/m);
  });

  test('two GPUs have a worker each, and train together', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gradcast-gpus-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    // SwiftShader's folder, also where tests use another driver.
    const [from = ''] = (env.LD_LIBRARY_PATH ?? '').split(delimiter);
    const drivers = await copyDrivers(folder, from);
    const dataset = await loadDigits(24);
    const coordinator = await testCoordinator(dataset, {
      ...{ batchSize: 12, epochs: 1, topology: tinyTopology([28, 28, 1], 10) },
    });
    const files = drivers.map(({ file }) => file).join(delimiter);
    const workers = drivers.map(({ gpu }) =>
      startWorker(coordinator.url, 'webgpu', {
        ...{ VK_ICD_FILENAMES: files, VK_DRIVER_FILES: files },
        ...gpuEnv(gpu),
      }),
    );
    await unlessEnded(workers, waitForWorkersReady(coordinator, workers.length));
    const { samples } = await unlessEnded(workers, trainToEnd(coordinator, dataset));
    await coordinator.close('done');
    for (const worker of workers) expect(await worker.ended, worker.output()).toBe(0);
    expect(samples).toEqual([12, 12]);
    for (const [i, { name }] of drivers.entries()) expect(workers[i]?.output()).toContain(name);
  });
});

/** Makes a cache of engines in which a measurement has preferred the GPU. @returns the environment that has it */
async function preferGpu(env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> {
  const cache = await mkdtemp(join(tmpdir(), 'gradcast-preferred-'));
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await rm(cache, { recursive: true });
  });
  const installed = webGpuFolder();
  const own = { ...env, XDG_CACHE_HOME: cache, GRADCAST_NATIVE_DIR: '' };
  for (const [name, value] of Object.entries(own)) vi.stubEnv(name, value);
  await mkdir(dirname(webGpuFolder()), { recursive: true });
  await symlink(installed, webGpuFolder());
  const gpus = await readGpusInChild([process.execPath, gradcast], new AbortController().signal);
  saveGpuChoice(gpuKey(gpus) ?? '', { workers: 1, line: 'Using WebGPU, by measurement' });
  return own;
}

/** Copies SwiftShader twice, the second time under other names, so that a process sees two GPUs. */
function copyDrivers(folder: string, from: string) {
  const kinds = [
    { gpu: 'SwiftShader Device', name: 'SwiftShader driver' },
    { gpu: 'SwiftShader Second', name: 'SwiftShader2driver' },
  ];
  return Promise.all(
    kinds.map(async ({ gpu, name }, i) => {
      const own = join(folder, String(i));
      await mkdir(own);
      const file = join(own, 'vk_swiftshader_icd.json');
      await copyFile(join(from, 'vk_swiftshader_icd.json'), file);
      const program = await readFile(join(from, 'libvk_swiftshader.so'), 'latin1');
      const renamed = program.replace('SwiftShader Device', gpu).replace('SwiftShader driver', name);
      await writeFile(join(own, 'libvk_swiftshader.so'), renamed, 'latin1');
      return { file, gpu, name };
    }),
  );
}
