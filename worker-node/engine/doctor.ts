import { version as nodeVersion } from 'node:process';
import { nativeCandidates } from './locate/candidates.ts';
import {
  describeBenchmark,
  benchmarkInChild,
  type EngineBenchmark,
  type BenchmarkTarget,
} from './benchmark/benchmark-child.ts';
import { installAdvice } from './ensure-native.ts';

/** One engine as the doctor found it. */
export interface Finding {
  readonly engine: 'native' | 'wasm';
  readonly package: string;
  readonly folder: string | null;
  readonly benchmark: EngineBenchmark | null;
  /** Why it is not used. */
  readonly reason: string | null;
}

export interface Diagnosis {
  readonly node: string;
  readonly platform: string;
  /** The best first; the first with a probe is what would be used. */
  readonly findings: readonly Finding[];
}

const BATCH_SIZE = 64;

/** Tries every engine that this machine has, each in a process of its own, one after the other. */
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
  const wasm = { engine: 'wasm', package: '@tensorflow/tfjs-backend-wasm', folder: null } as const;
  findings.push({ ...wasm, ...(await tryBenchmark(programFile, { engine: 'wasm' }, signal)) });
  return { node: nodeVersion, platform: `${process.platform} ${process.arch}`, findings };
}

/** What workers would use. */
export const selectedEngine = ({ findings }: Diagnosis): Finding | undefined =>
  findings.find(({ benchmark }) => benchmark !== null);

/** For a person to read. */
export function describeDiagnosis(diagnosis: Diagnosis, typed: string): string[] {
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
  if (used?.engine !== 'native') lines.push(installAdvice(typed));
  return lines;
}

async function tryBenchmark(
  programFile: string,
  target: BenchmarkTarget,
  signal: AbortSignal,
): Promise<Pick<Finding, 'benchmark' | 'reason'>> {
  const result = await benchmarkInChild(programFile, target, BATCH_SIZE, signal);
  return result.ok ? { benchmark: result.probe, reason: null } : { benchmark: null, reason: result.reason };
}
