import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { customAlphabet } from 'nanoid';
import writeFileAtomic from 'write-file-atomic';
import type { EpochRecord } from '../../shared/protocol/messages.ts';

/** Where a run leaves what it has made. */
export interface RunFolder {
  readonly dir: string;
  readonly modelDir: string;
  writeConfig(config: object): Promise<void>;
  appendHistory(record: EpochRecord): Promise<void>;
}

// Nothing that a shell, a file system or a reader could take for something else.
const runId = customAlphabet('abcdefghijkmnpqrstuvwxyz23456789', 6);

/** runs/<date>-<id> */
export const defaultRunDir = (now: Date): string =>
  join('runs', `${now.toISOString().slice(0, 10)}-${runId()}`);

/**
 * Makes the folder of a new run.
 * @throws Error if it holds a run already, or cannot be written
 */
export async function createRunFolder(path: string): Promise<RunFolder> {
  const dir = resolve(path);
  const history = join(dir, 'history.jsonl');
  await mkdir(dir, { recursive: true }).catch((error: unknown) => {
    throw new Error(`The folder ${dir} cannot be made (${String(error)}). Choose another with --out.`);
  });
  // Made, not looked for: of two runs that start at the same time only one can have the folder.
  await writeFile(join(dir, 'config.json'), '{}\n', { flag: 'wx' }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new Error(`${dir} holds a run already. Choose another folder with --out.`);
    }
    throw new Error(`The folder ${dir} cannot be written (${String(error)}). Choose another with --out.`);
  });
  return {
    dir,
    modelDir: join(dir, 'model'),
    writeConfig: (config) =>
      writeFileAtomic(join(dir, 'config.json'), `${JSON.stringify(config, null, 2)}\n`),
    appendHistory: (record) => appendFile(history, `${JSON.stringify(record)}\n`),
  };
}
