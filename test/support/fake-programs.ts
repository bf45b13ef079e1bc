import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A folder of shell scripts to put on PATH in place of real programs. @returns the environment to run with */
export async function fakePrograms(
  folder: string,
  scripts: Readonly<Record<string, string>>,
): Promise<NodeJS.ProcessEnv> {
  await mkdir(folder, { recursive: true });
  for (const [name, script] of Object.entries(scripts)) {
    const path = join(folder, name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
  }
  return { PATH: folder };
}
