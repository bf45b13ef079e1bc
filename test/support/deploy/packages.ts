import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';

/**
 * Downloads a file of a package from PyPI with pip, by this user's own configuration of it.
 * @param sha256 of the file
 * @returns the file's path in the folder
 * @throws Error if the file is another one
 */
export async function downloadFromPyPi(requirement: string, sha256: string, folder: string): Promise<string> {
  await run('python3', ['-m', 'pip', 'download', '-q', '--no-deps', '--no-input', '-d', folder, requirement]);
  return verified(folder, 'sha256', sha256, 'hex');
}

/**
 * Downloads a package with npm, without installing it.
 * @param integrity as in package-lock.json, without `sha512-`; null for a package whose content differs by platform
 * @returns the archive's path in the folder
 */
export async function downloadFromNpm(
  spec: string,
  integrity: string | null,
  folder: string,
): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder, spec]);
  const file = join(folder, stdout.trim());
  return integrity === null ? file : verified(folder, 'sha512', integrity, 'base64');
}

async function verified(
  folder: string,
  algorithm: string,
  expected: string,
  encoding: 'hex' | 'base64',
): Promise<string> {
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    const bytes = await readFile(file).catch(() => Buffer.alloc(0));
    if (createHash(algorithm).update(bytes).digest(encoding) === expected) return file;
  }
  throw new Error(`A downloaded file is not the one that was expected, with ${algorithm} ${expected}.`);
}
