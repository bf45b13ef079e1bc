import { nativeCandidates } from '../candidates.ts';
import type { InstallOptions, InstalledEngine } from './install.ts';
import { benchmarkInChild, type VerifyResult } from './prove.ts';
import { packageName, type Target } from './target.ts';

const VERIFY_BATCH_SIZE = 8;

/** An engine that is there already and makes a training step, or null; those that do not are named with the reason. */
export async function verifyInstalled(options: InstallOptions, target: Target): Promise<InstalledEngine | null> {
  const { variant, cacheDir, report } = options;
  for (const { package: name, missing, folder } of nativeCandidates(cacheDir, target)) {
    if (name !== packageName(variant) || missing !== null) continue;
    const result = await verify(options, folder);
    const where = folder ?? 'the installed packages';
    if (result.ok) {
      report.print(`There already, and works: ${where}`);
      return { folder: folder ?? null, benchmark: result.probe };
    }
    report.print(`${where}: ${result.reason}`);
  }
  return null;
}

/** Whether an engine that has just been built makes a training step. */
export function verifyStaged(options: InstallOptions, staging: string): Promise<VerifyResult> {
  options.report.print('Trying a training step ...');
  return verify(options, staging);
}

async function verify(
  { programFile, variant, signal }: InstallOptions,
  folder: string | undefined,
): Promise<VerifyResult> {
  const target = { engine: 'native', package: packageName(variant), folder } as const;
  const result = await benchmarkInChild(programFile, target, VERIFY_BATCH_SIZE, signal);
  if (result.ok && variant === 'gpu' && !result.probe.gpu) return { ok: false, reason: 'it finds no GPU' };
  return result;
}
