import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { describeDiskError } from '../files/disk-error.ts';
import { makeFolder } from '../files/make-folder.ts';
import { writeExampleData, type Template } from './example-data.ts';

export interface InitOptions {
  readonly template: Template;
  /** Folder of the templates of this package. */
  readonly templatesDir: string;
  /** Version of gradcast that the project depends on. */
  readonly version: string;
}

/** npm leaves files of this name out of a package. */
const RENAMED: Readonly<Record<string, string>> = { gitignore: '.gitignore' };

/**
 * Makes a project: a task, its data and what belongs to it. Existing files are left alone.
 * @returns names of the files and folders that were made
 * @throws Error with a sentence if one of them exists, before anything is written
 */
export async function initProject(
  dir: string,
  { template, templatesDir, version }: InitOptions,
): Promise<string[]> {
  const files: Record<string, string> = { 'package.json': packageJson(dir, version) };
  for (const part of ['common', template]) {
    for (const name of await readdir(join(templatesDir, part)))
      files[RENAMED[name] ?? name] = await readFile(join(templatesDir, part, name), 'utf8');
  }
  const names = [...Object.keys(files).sort(), 'data'];
  const existing = names.filter((name) => existsSync(join(dir, name)));
  if (existing.length > 0) {
    throw new Error(
      `${resolve(dir)} has ${existing.join(', ')} already, which init does not replace. Name another folder.`,
    );
  }
  await makeFolder(dir);
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text, { flag: 'wx' });
    await mkdir(join(dir, 'data'));
    await writeExampleData(template, dir);
  } catch (error) {
    throw new Error(`${resolve(dir)} could not be written: ${describeDiskError(error)}.`, { cause: error });
  }
  return names;
}

/** package.json of a project, with a name that npm takes. */
function packageJson(dir: string, version: string): string {
  const name = basename(resolve(dir))
    .toLowerCase()
    .replaceAll(/[^a-z0-9~-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  const contents = {
    name: name === '' ? 'training' : name,
    private: true,
    type: 'module',
    scripts: { train: 'gradcast train task.ts' },
    dependencies: { gradcast: `^${version}` },
  };
  return `${JSON.stringify(contents, null, 2)}\n`;
}
