import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { lock } from 'proper-lockfile';
import { expect } from 'vitest';
import { checksCacheDir } from './cached.ts';
import { COMMAND_TIMEOUT_MS, run, type RunResult } from './run.ts';

/** Podman with images and containers of the tests, apart from those of this machine. Images stay in the cache. */
export interface Podman extends AsyncDisposable {
  /** @throws Error with podman's output if it fails */
  run(...args: readonly string[]): Promise<RunResult>;
  /** Serves Docker's interface, for Compose. @returns the address */
  serve(): Promise<string>;
}

/** Folder for what podman keeps until the next start of the machine. Podman takes no long path. */
const RUN = '/run/gradcast-checks';
/** Time without an update after which the lock of a killed process is taken over. */
const LOCK_STALE_MS = 15_000;

/** Opens podman. One process of this machine has it at a time; others wait. */
export async function openPodman(): Promise<Podman> {
  const store = join(checksCacheDir, 'podman');
  await mkdir(store, { recursive: true });
  await mkdir(RUN, { recursive: true });
  const release = await lock(store, {
    stale: LOCK_STALE_MS,
    retries: { retries: 300, minTimeout: 1_000, factor: 1 },
  });
  const config = join(RUN, 'containers.conf');
  const socketFile = join(RUN, 'podman.sock');
  await writeFile(config, CONFIGURATION);
  const env = { ...process.env, CONTAINERS_CONF: config };
  const globals = ['--root', store, '--runroot', RUN];
  const podman = (...args: readonly string[]): Promise<RunResult> =>
    run('podman', [...globals, ...args], {
      env,
      ...(args[0] === 'build' ? {} : { timeout: COMMAND_TIMEOUT_MS }),
    });
  let service: ChildProcess | undefined;
  return {
    run: podman,
    async serve() {
      await rm(socketFile, { force: true });
      const args = [...globals, 'system', 'service', '--time=0', `unix://${socketFile}`];
      const server = (service = spawn('podman', args, { env, stdio: 'ignore' }));
      await expect.poll(() => existsSync(socketFile) || server.exitCode !== null).toBe(true);
      return `unix://${socketFile}`;
    },
    async [Symbol.asyncDispose]() {
      if (service?.exitCode === null) {
        service.kill();
        await once(service, 'close');
      }
      await podman('rm', '--all', '--force', '--time', '0');
      await podman('volume', 'prune', '--force');
      // The layers of older sources serve no later build.
      await podman('image', 'prune', '--force', '--filter', 'until=240h');
      await release();
    },
  };
}

/** Runs also where a process may not raise its limits, and where both versions of cgroups are mounted, which crun refuses. */
const CONFIGURATION = `
[containers]
default_ulimits = []
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
tmp_dir = "${RUN}/libpod"
[network]
network_config_dir = "${RUN}/networks"
`;
