import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { gradcast, spawnProgram, waitForOutput, type WorkerProcess } from '../support/worker-process.ts';

/** Program that starts another one as the first process of a PID namespace, as a container does. */
const AS_FIRST = ['unshare', '-r', '--pid', '--fork', '--mount-proc', '--kill-child'] as const;

function isPermitted(): boolean {
  try {
    execFileSync(AS_FIRST[0], [...AS_FIRST.slice(1), 'true'], { stdio: 'ignore' });
    return existsSync('/proc/self/task');
  } catch {
    return false;
  }
}
const contained = test.runIf(isPermitted());

/** Starts gradcast as the first process of a container. @param nodeOptions before the program */
function startFirst(args: readonly string[], nodeOptions: readonly string[] = []): WorkerProcess {
  const command = [process.execPath, ...nodeOptions, gradcast, ...args];
  return spawnProgram([...AS_FIRST, ...command], { ...process.env, GRADCAST_TOKEN: undefined });
}

/** Numbers of a process's children. */
const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
/** State of a process, such as Z for a zombie; empty if there is none. */
const stateOf = (pid: number): string => {
  try {
    return / ([A-Z]) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/, ''))?.[1] ?? '';
  } catch {
    return '';
  }
};
/** Children of a process once there are two, none of them a zombie. */
async function twoChildrenOf(pid: number): Promise<number[]> {
  const states = (): string[] => childrenOf(pid).map(stateOf);
  await expect.poll(states).toEqual([expect.stringMatching(/[^ZX]/), expect.stringMatching(/[^ZX]/)]);
  return childrenOf(pid);
}
const firstOf = ({ child }: WorkerProcess): number => childrenOf(child.pid ?? 0)[0] ?? 0;

const silent = createServer();
await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
const { port } = silent.address() as AddressInfo;
afterAll(() => silent.close());

contained.each(['SIGTERM', 'SIGINT'] as const)(
  'as the first process, a command that does not listen for signals ends by %s',
  async (signal) => {
    const connected = new Promise((resolve) => silent.once('connection', resolve));
    // It waits for an answer that does not come.
    const status = startFirst(['status', `127.0.0.1:${port}`]);
    await connected;
    process.kill(firstOf(status), signal);
    expect(await status.ended, status.output()).toBe(130);
  },
);

/** Sends SIGTERM to its own process as soon as it listens for it, and says whether the commands are loaded by then. */
const WHEN_LISTENING = `
  import Module from 'node:module';
  process.on('newListener', (name) => {
    if (name !== 'SIGTERM') return;
    const isLoaded = Object.keys(Module._cache).some((file) => file.endsWith('cli.cjs'));
    process.stderr.write(isLoaded ? 'late' : 'early');
    setImmediate(() => process.kill(process.pid, 'SIGTERM'));
  });`;

contained(
  'as the first process, a worker ends by a signal that comes before its command is loaded',
  async () => {
    const preloaded = `data:text/javascript,${encodeURIComponent(WHEN_LISTENING)}`;
    const worker = startFirst(['worker', '127.0.0.1:1'], ['--import', preloaded]);
    expect(await worker.ended, worker.output()).toBe(130);
    expect(worker.output()).toBe('early');
  },
);

contained(
  'as the first process, a worker leaves by SIGTERM, and no zombies are left of its processes',
  async () => {
    const worker = startFirst([
      'worker',
      '127.0.0.1:1',
      '--workers',
      '2',
      '--engine',
      'wasm',
      '--name',
      'pod',
    ]);
    await waitForOutput(worker, /No connection to/);
    const first = firstOf(worker);
    for (let restarts = 1; restarts <= 3; restarts++) {
      const [one] = await twoChildrenOf(first);
      process.kill(one as number, 'SIGKILL');
      await waitForOutput(worker, new RegExp(`(was killed[^]*){${restarts}}restarting`));
    }
    await twoChildrenOf(first);
    process.kill(first, 'SIGTERM');
    expect(await worker.ended, worker.output()).toBe(130);
  },
);
