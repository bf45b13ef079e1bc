import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { formatByteProgress, measureFolder, withProgress, type InstallReport } from './progress.ts';
import { summarizeFailure, runProgram } from '../../util/run-program.ts';
import { removeFolder } from './staging.ts';

export interface PipOptions {
  readonly python: string;
  /** Keeps whole wheels between installations. */
  readonly wheelsDir: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
}

const PARTIAL_PREFIX = '.partial-';

/**
 * TensorFlow's libraries know nothing of Python, so a wheel for any Python 3 will do: the person's own first, then those
 * that the version was released for.
 */
const FALLBACK_PYTHONS = ['3.11', '3.12', '3.13', '3.10'];

/**
 * The path of a wheel that pip has brought, by the person's own configuration of pip. A wheel appears in the folder only
 * when it is whole, and is not asked for again.
 * @param requirement for pip, 'tensorflow-cpu==2.21.0'
 * @param aboutBytes what it will come to, for the progress
 * @throws Error with pip's own words if there is none
 */
export async function downloadWheel(
  requirement: string,
  aboutBytes: number,
  { python, wheelsDir, signal, report }: PipOptions,
): Promise<string> {
  await mkdir(wheelsDir, { recursive: true });
  const kept = (await readdir(wheelsDir)).find((name) => matchesRequirement(name, requirement));
  if (kept !== undefined) {
    report.print(`${kept} is here already.`);
    return join(wheelsDir, kept);
  }
  report.print(`Downloading ${requirement} with pip ...`);
  // Nobody else is downloading: whoever calls holds the lock.
  for (const name of await readdir(wheelsDir)) {
    if (name.startsWith(PARTIAL_PREFIX)) await removeFolder(join(wheelsDir, name));
  }
  const partial = join(wheelsDir, `${PARTIAL_PREFIX}${randomUUID()}`);
  await mkdir(partial);
  try {
    // pip downloads into the folder for temporary files; so it lies on this disk, and its growth can be watched.
    const env = { ...process.env, TMPDIR: partial, PIP_DISABLE_PIP_VERSION_CHECK: '1' };
    const fails: string[] = [];
    for (const version of [null, ...FALLBACK_PYTHONS]) {
      const forVersion =
        version === null ? [] : ['--python-version', version, '--implementation', 'cp', '--no-cache-dir'];
      const ran = await withProgress(
        async (elapsedMs) =>
          report.update(formatByteProgress(await measureFolder(partial), aboutBytes, elapsedMs)),
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
      if (ran.code === 0 && name !== undefined) {
        await rename(join(partial, name), join(wheelsDir, name));
        return join(wheelsDir, name);
      }
      fails.push(summarizeFailure(ran));
      // Another Python helps only where the wheel for this one is what is missing.
      if (!ran.lines.some((line) => /no matching distribution/i.test(line))) break;
    }
    throw new Error(`pip could not download ${requirement}: ${fails[0] ?? 'it said nothing'}`);
  } finally {
    await removeFolder(partial);
  }
}

/** Whether a file is the wheel of a requirement with an exact version, or of its name alone if it has none. */
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
