import { version as nodeVersion } from 'node:process';
import { nativeCandidates } from './candidates.ts';
import { describeProbe, proveEngine, type Probe, type ProbeTarget } from './install/prove.ts';
import { installAdvice } from './prepare.ts';

/** One engine as the doctor found it. */
export interface Finding {
  readonly engine: 'native' | 'wasm';
  readonly package: string;
  readonly folder: string | null;
  readonly probe: Probe | null;
  /** Why it is not used. */
  readonly reason: string | null;
}

export interface Diagnosis {
  readonly node: string;
  readonly platform: string;
  /** The best first; the first with a probe is what would be used. */
  readonly findings: readonly Finding[];
}

const BATCH = 64;

/** Tries every engine that this machine has, each in a process of its own, one after the other. */
export async function diagnose(programFile: string, signal: AbortSignal): Promise<Diagnosis> {
  const findings: Finding[] = [];
  for (const { package: name, folder, missing } of nativeCandidates()) {
    const finding = { engine: 'native', package: name, folder: folder ?? null } as const;
    findings.push(
      missing !== null
        ? { ...finding, probe: null, reason: missing }
        : { ...finding, ...(await tried(programFile, { engine: 'native', package: name, folder }, signal)) },
    );
  }
  const wasm = { engine: 'wasm', package: '@tensorflow/tfjs-backend-wasm', folder: null } as const;
  findings.push({ ...wasm, ...(await tried(programFile, { engine: 'wasm' }, signal)) });
  return { node: nodeVersion, platform: `${process.platform} ${process.arch}`, findings };
}

/** What workers would use. */
export const usedEngine = ({ findings }: Diagnosis): Finding | undefined =>
  findings.find(({ probe }) => probe !== null);

/** For a person to read. */
export function describeDiagnosis(diagnosis: Diagnosis, typed: string): string[] {
  const { node, platform, findings } = diagnosis;
  const used = usedEngine(diagnosis);
  const lines = [`Node ${node} on ${platform}`];
  for (const finding of findings) {
    const { engine, package: name, folder, probe, reason } = finding;
    const mark = finding === used ? '>' : probe === null ? 'x' : ' ';
    lines.push(`${mark} ${engine} (${folder ?? name})`);
    lines.push(`    ${probe === null ? (reason ?? '') : describeProbe(probe)}`);
  }
  if (used === undefined) lines.push('No engine works here.');
  else lines.push(`Workers use the one marked >, a ${used.engine} engine.`);
  if (used?.engine !== 'native') lines.push(installAdvice(typed));
  return lines;
}

async function tried(
  programFile: string,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<Pick<Finding, 'probe' | 'reason'>> {
  const result = await proveEngine(programFile, target, BATCH, signal);
  return result.ok ? { probe: result.probe, reason: null } : { probe: null, reason: result.reason };
}
