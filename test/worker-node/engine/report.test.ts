import { expect, test } from 'vitest';
import type { EngineBenchmark } from '../../../worker-node/engine/benchmark/benchmark-child.ts';
import {
  describeDiagnosis,
  explainSelection,
  selectedEngine,
  type Diagnosis,
  type Finding,
} from '../../../worker-node/engine/doctor.ts';
import { formatReport } from '../../../worker-node/engine/report.ts';

const gpu = {
  ...{ number: 0, system: 'vulkan', name: 'AMD Radeon | <b>Pro', vendor: 'amd', architecture: 'rdna-3' },
  ...{ driver: 'radv: Mesa 25.0', isSoftware: false, isSelectable: true },
};
const benchmark: EngineBenchmark = {
  ...{ backend: 'webgpu', version: '4.22.0', tensorflow: null, device: 'amd rdna-3 (radv: Mesa 25.0)' },
  ...{ gpu: true, threads: 1, lossBefore: 2, lossAfter: 1, batch: 64, msPerSample: 0.1, difference: 1.23e-6 },
  gpus: [{ ...gpu, number: 1, name: 'llvmpipe', architecture: '', driver: 'llvm', isSoftware: true }, gpu],
};
const webgpu: Finding = { engine: 'webgpu', package: 'webgpu', folder: null, benchmark, reason: null };
const wasm: Finding = {
  ...{ engine: 'wasm', package: '@tensorflow/tfjs-backend-wasm', folder: null, reason: null },
  benchmark: { ...benchmark, backend: 'wasm', gpu: false, msPerSample: 1, difference: null, gpus: [] },
};
const cuda: Finding = {
  ...{ engine: 'native', package: '@tensorflow/tfjs-node-gpu', folder: '/home/jane/.cache/x', reason: null },
  benchmark: {
    ...{ ...benchmark, backend: 'tensorflow', tensorflow: '2.21.0', device: 'NVIDIA L4, 23034 MiB' },
    ...{ threads: 4, msPerSample: 0.05, difference: null, gpus: [] },
  },
};
const broken = (reason: string): Finding => ({ ...webgpu, benchmark: null, reason });
const slower = (msPerSample: number, isGpu = true): Finding => ({
  ...webgpu,
  benchmark: { ...benchmark, msPerSample, gpu: isGpu },
});
const diagnosis = (...findings: Finding[]): Diagnosis => ({
  node: 'v20.20.0',
  platform: 'linux x64',
  cores: 4,
  findings,
});
const machine = { system: 'linux 6.1 x64', processor: 'AMD EPYC' };

test.each<[string, Diagnosis, Finding | undefined, RegExp]>([
  [
    'a faster GPU',
    diagnosis(webgpu, wasm),
    webgpu,
    /^it is right, and faster: 0\.100 ms a sample, 4 wasm workers 0\.250$/,
  ],
  [
    'a slower GPU',
    diagnosis(slower(0.3), wasm),
    wasm,
    /^WebGPU is slower: 0\.300 ms a sample, 4 wasm workers 0\.250$/,
  ],
  [
    'CUDA that is faster',
    diagnosis(cuda, webgpu, wasm),
    cuda,
    /^WebGPU is slower: 0\.100 .*, native 0\.050$/,
  ],
  ['CUDA that is slower', diagnosis(cuda, slower(0.04), wasm), slower(0.04), /^it is right, and faster/],
  ['software', diagnosis(slower(0.001, false), wasm), wasm, /only the processor in place of one$/],
  [
    'no package',
    diagnosis(broken('not installed'), wasm),
    wasm,
    /^it works everywhere \(WebGPU: not installed\)$/,
  ],
  ['WebGPU alone', diagnosis(webgpu), webgpu, /^no other works$/],
  ['nothing', diagnosis(broken('not installed')), undefined, /^no other works$/],
])('with %s the doctor selects an engine and says why', (_, of, used, why) => {
  expect(selectedEngine(of)).toEqual(used);
  expect(explainSelection(of)).toMatch(why);
});

test('the doctor shows each GPU with its driver, and the difference of the gradient', () => {
  const text = describeDiagnosis(diagnosis(webgpu, wasm), 'gradcast').join('\n');
  expect(text).toContain('; gradient within 0.0000012 of that by WebAssembly');
  expect(text).toContain('GPU 1: llvmpipe, amd, llvm, by vulkan, the processor in place of a GPU');
  expect(text).toContain('GPU 0: AMD Radeon | <b>Pro, amd rdna-3, radv: Mesa 25.0, by vulkan\n');
});

test('the report is a row for each engine of a GPU, and details without names of the user', () => {
  const { text, hasGpu } = formatReport(diagnosis(cuda, webgpu, wasm), '0.2.0', machine);
  expect(hasGpu).toBe(true);
  const [head, rule, ...rest] = text.split('\n');
  expect(head).toMatch(/^\| Vendor \| GPU \| Driver \| System \| Engine \|/);
  expect(rule).toMatch(/^(\| --- ){8}\|$/);
  expect(rest.slice(0, 2)).toEqual([
    '|  | NVIDIA L4, 23034 MiB |  | linux 6.1 x64 | TensorFlow 2.21.0, CUDA | 0.050 (64) |  | 0.2.0, 20.20.0 |',
    '| amd | AMD Radeon \\| &lt;b>Pro | radv: Mesa 25.0 | linux 6.1 x64 | WebGPU, Dawn of webgpu 0.6.2, TensorFlow.js 4.22.0 | 0.100 (64) | 0.0000012 | 0.2.0, 20.20.0 |',
  ]);
  expect(text).toContain('Processor: AMD EPYC, 4 cores');
  expect(text).toContain('- WebAssembly, TensorFlow.js 4.22.0: 1.000 (64), processor, 1 thread');
  expect(text).not.toContain('jane');
});

test('the report names software as such', () => {
  const [software] = benchmark.gpus;
  const used = { ...benchmark, device: 'amd (llvm)', gpu: false, gpus: [software!] };
  const { text, hasGpu } = formatReport(diagnosis({ ...webgpu, benchmark: used }, wasm), '0.2.0', machine);
  expect(hasGpu).toBe(false);
  expect(text.split('\n')[2]).toMatch(/^\| amd \| llvmpipe, software \| llvm \|/);
});

test('the report of a GPU that does not work has the reason, without folders', () => {
  const reason = "cannot open /home/jane/node_modules/dawn.node: version `GLIBC_2.34' not found";
  const { text, hasGpu } = formatReport(diagnosis(broken(reason), wasm), '0.2.0', machine);
  expect(hasGpu).toBe(false);
  expect(text.split('\n')[2]).toContain("| cannot open … version `GLIBC_2.34' not found |");
});
