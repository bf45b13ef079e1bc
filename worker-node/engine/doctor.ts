import { availableParallelism } from 'node:os';
import { version as nodeVersion } from 'node:process';
import { nativeCandidates } from './locate/candidates.ts';
import {
  describeBenchmark,
  benchmarkInChild,
  isFaster,
  type EngineBenchmark,
  type BenchmarkTarget,
} from './benchmark/benchmark-child.ts';
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
      : await tryBenchmark(programFile, { engine: 'webgpu' }, signal)),
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
export function selectedEngine({ findings, cores }: Diagnosis): Finding | undefined {
  const working = findings.filter(({ benchmark }) => benchmark !== null);
  const other = working.find(({ engine }) => engine !== 'webgpu');
  const gpu = working.find(({ engine }) => engine === 'webgpu');
  if (!gpu?.benchmark || !other?.benchmark) return other;
  return isFaster(gpu.benchmark, other.benchmark, cores) ? gpu : other;
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
    const { engine, package: name, folder, benchmark, reason } = finding;
    const mark = finding === used ? '>' : benchmark === null ? 'x' : ' ';
    lines.push(`${mark} ${engine} (${folder ?? name})`);
    lines.push(`    ${benchmark === null ? (reason ?? '') : describeBenchmark(benchmark)}`);
  }
  if (used === undefined) lines.push('No engine works here.');
  else lines.push(`Workers use the one marked >, a ${used.engine} engine.`);
  if (used?.engine !== 'native') lines.push(installAdvice(commandLine));
  return lines;
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
