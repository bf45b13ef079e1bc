import { availableParallelism } from 'node:os';
import { version as nodeVersion } from 'node:process';
import { nativeCandidates } from './locate/candidates.ts';
import {
  describeBenchmark,
  benchmarkInChild,
  isFaster,
  workersOf,
  type EngineBenchmark,
  type BenchmarkTarget,
} from './benchmark/benchmark-child.ts';
import type { GpuProperties } from './webgpu/gpus.ts';
import { NO_GPU } from './webgpu/open-webgpu.ts';
import { driverAdvice, thisSystem } from './webgpu/system.ts';
import { findWebGpuPackage, WEBGPU_PACKAGE } from './webgpu/webgpu-package.ts';
import { installAdvice } from './ensure-native.ts';

/** Result of the doctor for one engine. */
export interface Finding {
  readonly engine: 'native' | 'wasm' | 'webgpu';
  readonly package: string;
  readonly folder: string | null;
  readonly benchmark: EngineBenchmark | null;
  /** Reason why the engine does not work, or null. */
  readonly reason: string | null;
  /** Sentence that says what may help. */
  readonly advice?: string;
}

export interface Diagnosis {
  readonly node: string;
  readonly platform: string;
  readonly cores: number;
  /** WebGPU apart, best first. */
  readonly findings: readonly Finding[];
}

const BATCH_SIZE = 64;

/** Benchmarks every engine of this machine, one after the other, each in a process of its own. */
export async function diagnose(programFile: string, signal: AbortSignal): Promise<Diagnosis> {
  const findings: Finding[] = [];
  for (const { package: name, folder, missing } of nativeCandidates()) {
    const finding = { engine: 'native', package: name, folder: folder ?? null } as const;
    findings.push(
      missing !== null
        ? { ...finding, benchmark: null, reason: missing }
        : {
            ...finding,
            ...(await tryBenchmark(programFile, { engine: 'native', package: name, folder }, signal)),
          },
    );
  }
  const file = findWebGpuPackage();
  const webgpu = { engine: 'webgpu', package: WEBGPU_PACKAGE, folder: null } as const;
  findings.push({
    ...webgpu,
    ...(file === null
      ? { benchmark: null, reason: 'not installed' }
      : withAdvice(await tryBenchmark(programFile, { engine: 'webgpu' }, signal))),
  });
  const wasm = { engine: 'wasm', package: '@tensorflow/tfjs-backend-wasm', folder: null } as const;
  findings.push({ ...wasm, ...(await tryBenchmark(programFile, { engine: 'wasm' }, signal)) });
  return {
    node: nodeVersion,
    platform: `${process.platform} ${process.arch}`,
    cores: availableParallelism(),
    findings,
  };
}

/** Engine that workers would use: WebGPU if it is faster than the others, else the first that works. */
export function selectedEngine(diagnosis: Diagnosis): Finding | undefined {
  const { gpu, other } = contenders(diagnosis);
  if (!gpu?.benchmark || !other?.benchmark) return other ?? gpu;
  return isFaster(gpu.benchmark, other.benchmark, diagnosis.cores) ? gpu : other;
}

/** WebGPU, and the best of the other engines, if they work. */
export function contenders({ findings }: Diagnosis): Readonly<Record<'gpu' | 'other', Finding | undefined>> {
  const working = findings.filter(({ benchmark }) => benchmark !== null);
  return {
    gpu: working.find(({ engine }) => engine === 'webgpu'),
    other: working.find(({ engine }) => engine !== 'webgpu'),
  };
}

/** End of a sentence that says why workers use the selected engine. */
export function explainSelection(diagnosis: Diagnosis): string {
  const { findings, cores } = diagnosis;
  const { gpu, other } = contenders(diagnosis);
  if (other?.benchmark === undefined || other.benchmark === null) return 'no other works';
  if (!gpu?.benchmark) {
    const webGpu = findings.find(({ engine }) => engine === 'webgpu')?.reason ?? 'not tried';
    const why = other.engine === 'native' ? explainNative(other.benchmark, diagnosis) : 'it works everywhere';
    return `${why} (WebGPU: ${webGpu})`;
  }
  if (!gpu.benchmark.gpu) return 'WebGPU has no GPU here, only the processor in place of one';
  const workers = workersOf(other.benchmark, cores);
  const gpuMs = gpu.benchmark.msPerSample.toFixed(3);
  const otherMs = (other.benchmark.msPerSample / workers).toFixed(3);
  const others = workers === 1 ? other.engine : `${workers} ${other.engine} workers`;
  return isFaster(gpu.benchmark, other.benchmark, cores)
    ? `it is right, and faster: ${gpuMs} ms a sample, ${others} ${otherMs}`
    : `WebGPU is slower: ${gpuMs} ms a sample, ${others} ${otherMs}`;
}

/** Says that native TensorFlow was installed, and how fast as many WebAssembly workers are as there are cores. */
function explainNative(native: EngineBenchmark, { findings, cores }: Diagnosis): string {
  const wasm = findings.find(({ engine }) => engine === 'wasm')?.benchmark;
  if (!wasm) return 'it is installed';
  const workers = workersOf(wasm, cores);
  const wasmMs = wasm.msPerSample / workers;
  const advice = wasmMs < native.msPerSample ? ', which is faster: --engine wasm' : '';
  return `it is installed: ${native.msPerSample.toFixed(3)} ms a sample, ${workers} wasm workers ${wasmMs.toFixed(3)}${advice}`;
}

/**
 * Formats lines for the user.
 * @param commandLine command that starts gradcast
 */
export function describeDiagnosis(diagnosis: Diagnosis, commandLine: string): string[] {
  const { node, platform, findings } = diagnosis;
  const used = selectedEngine(diagnosis);
  const lines = [`Node ${node} on ${platform}`];
  for (const finding of findings) {
    const { engine, package: name, folder, benchmark, reason, advice } = finding;
    const mark = finding === used ? '>' : benchmark === null ? 'x' : ' ';
    lines.push(`${mark} ${engine} (${folder ?? name})`);
    lines.push(`    ${benchmark === null ? (reason ?? '') : describeBenchmark(benchmark)}`);
    if (advice !== undefined) lines.push(`    ${advice}`);
    for (const gpu of benchmark?.gpus ?? []) lines.push(`    GPU ${describeGpu(gpu)}`);
  }
  if (used === undefined) lines.push('No engine works here.');
  else
    lines.push(
      `Workers use the one marked >, a ${used.engine} engine, by --engine auto: ${explainSelection(diagnosis)}.`,
    );
  if (used?.engine === 'wasm' || used === undefined) lines.push(installAdvice(commandLine));
  return lines;
}

/** Formats '0: NVIDIA L4, nvidia ada-lovelace, NVIDIA 550.54, by vulkan'. */
function describeGpu({ number, name, vendor, architecture, driver, system, ...gpu }: GpuProperties): string {
  const chip = [vendor, architecture].filter((part) => part !== '').join(' ');
  const remarks = [
    ...(gpu.isSoftware ? ['the processor in place of a GPU'] : []),
    ...(gpu.isSelectable ? [] : ['--devices cannot tell it from another of its name']),
  ];
  return `${number}: ${[name, chip, driver, `by ${system}`, ...remarks].filter(Boolean).join(', ')}`;
}

/** Adds what a system without a usable GPU needs. */
function withAdvice(
  tried: Pick<Finding, 'benchmark' | 'reason'>,
): Omit<Finding, 'engine' | 'package' | 'folder'> {
  const hasGpu = tried.benchmark === null ? tried.reason !== NO_GPU : tried.benchmark.gpu;
  return hasGpu ? tried : { ...tried, advice: driverAdvice(thisSystem()) };
}

async function tryBenchmark(
  programFile: string,
  target: BenchmarkTarget,
  signal: AbortSignal,
): Promise<Pick<Finding, 'benchmark' | 'reason'>> {
  const result = await benchmarkInChild([process.execPath, programFile], target, BATCH_SIZE, signal);
  return result.ok
    ? { benchmark: result.benchmark, reason: null }
    : { benchmark: null, reason: result.reason };
}
