import { nativeCandidates } from '../candidates.ts';
import type { InstallOptions, Installed } from './install.ts';
import { proveEngine, type ProbeResult } from './prove.ts';
import { packageOf, type Target } from './target.ts';

const PROOF_BATCH = 8;

/** An engine that is there already and makes a training step, or null; those that do not are named with the reason. */
export async function tryPresent(options: InstallOptions, target: Target): Promise<Installed | null> {
  const { variant, cacheDir, report } = options;
  for (const { package: name, missing, folder } of nativeCandidates(cacheDir, target)) {
    if (name !== packageOf(variant) || missing !== null) continue;
    const result = await prove(options, folder);
    const where = folder ?? 'the installed packages';
    if (result.ok) {
      report.say(`There already, and works: ${where}`);
      return { folder: folder ?? null, probe: result.probe };
    }
    report.say(`${where}: ${result.reason}`);
  }
  return null;
}

/** Whether an engine that has just been built makes a training step. */
export function proveStaged(options: InstallOptions, staging: string): Promise<ProbeResult> {
  options.report.say('Trying a training step ...');
  return prove(options, staging);
}

async function prove(
  { programFile, variant, signal }: InstallOptions,
  folder: string | undefined,
): Promise<ProbeResult> {
  const target = { engine: 'native', package: packageOf(variant), folder } as const;
  const result = await proveEngine(programFile, target, PROOF_BATCH, signal);
  if (result.ok && variant === 'gpu' && !result.probe.gpu) return { ok: false, reason: 'it finds no GPU' };
  return result;
}
