import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { formatByteProgress, measureFolder, withProgress, type InstallReport } from './progress.ts';
import { summarizeFailure, runProgram } from '../../util/run-program.ts';
import { removeFolder } from './staging.ts';

export interface PipOptions {
  readonly python: string;
  /** Folder that keeps complete wheels between installations. */
  readonly wheelsDir: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
}

const PARTIAL_PREFIX = '.partial-';

/**
 * Python versions whose wheel is tried if there is none for the installed one. TensorFlow's libraries do not depend on
 * Python, so any wheel does.
 */
const FALLBACK_PYTHONS = ['3.11', '3.12', '3.13', '3.10'];

/**
 * Downloads a wheel with pip, by the user's own configuration of pip. A wheel is moved to the folder when it is complete,
 * and not downloaded again.
 * @param requirement for pip, 'tensorflow-cpu==2.21.0'
 * @param approximateBytes expected size, for the progress
 * @returns the path of the wheel
 * @throws Error with pip's own message
 */
export async function downloadWheel(
  requirement: string,
  approximateBytes: number,
  { python, wheelsDir, signal, report }: PipOptions,
): Promise<string> {
  await mkdir(wheelsDir, { recursive: true });
  const existing = (await readdir(wheelsDir)).find((name) => matchesRequirement(name, requirement));
  if (existing !== undefined) {
    report.print(`${existing} was downloaded before.`);
    return join(wheelsDir, existing);
  }
  report.print(`Downloading ${requirement} with pip ...`);
  // The caller holds the lock, so no other process is downloading.
  for (const name of await readdir(wheelsDir)) {
    if (name.startsWith(PARTIAL_PREFIX)) await removeFolder(join(wheelsDir, name));
  }
  const partial = join(wheelsDir, `${PARTIAL_PREFIX}${randomUUID()}`);
  await mkdir(partial);
  try {
    // pip downloads to the folder for temporary files: on this disk, and where the progress can be measured.
    const env = { ...process.env, TMPDIR: partial, PIP_DISABLE_PIP_VERSION_CHECK: '1' };
    const failures: string[] = [];
    for (const version of [null, ...FALLBACK_PYTHONS]) {
      const forVersion =
        version === null ? [] : ['--python-version', version, '--implementation', 'cp', '--no-cache-dir'];
      const result = await withProgress(
        async (elapsedMs) =>
          report.update(formatByteProgress(await measureFolder(partial), approximateBytes, elapsedMs)),
        () =>
          runProgram(
            [
              ...([python, '-m', 'pip', 'download', '--no-deps', '--only-binary=:all:'] as const),
              ...['--progress-bar', 'off', '--no-input', '-d', partial, ...forVersion, requirement],
            ],
            { env, signal },
          ),
      );
      const name = (await readdir(partial)).find((each) => each.endsWith('.whl'));
      if (result.code === 0 && name !== undefined) {
        await rename(join(partial, name), join(wheelsDir, name));
        return join(wheelsDir, name);
      }
      failures.push(summarizeFailure(result));
      // Another Python version helps only if pip found no wheel for this one.
      if (!result.lines.some((line) => /no matching distribution/i.test(line))) break;
    }
    throw new Error(`pip could not download ${requirement}: ${failures[0] ?? 'it printed nothing'}`);
  } finally {
    await removeFolder(partial);
  }
}

/** Whether a file is a wheel of a requirement; without an exact version only the name counts. */
export function matchesRequirement(file: string, requirement: string): boolean {
  const [, name = '', version] = /^([\w.-]+?)(?:==([\w.]+))?(?:[<>!~=].*)?$/.exec(requirement) ?? [];
  const [fileName = '', fileVersion = ''] = file.split('-');
  const normal = (text: string): string => text.toLowerCase().replaceAll(/[-_.]+/g, '_');
  return (
    file.endsWith('.whl') &&
    normal(fileName) === normal(name) &&
    (version === undefined || version === fileVersion)
  );
}
