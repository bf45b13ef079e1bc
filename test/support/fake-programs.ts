import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Writes shell scripts that stand in for real programs. @returns an environment with their folder on the PATH */
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
