import { fork, spawn, type ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';

/** Path of the built program. */
const gradcast = join(dirname(process.argv[1] ?? ''), '../../bin/gradcast.js');

/** Children that have not ended. */
const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Kills a child when this process exits, also after an exception. If this process is killed, closed pipes end the child. */
export function killOnExit<Child extends ChildProcess>(child: Child): Child {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** Starts a worker as a user does. */
export function spawnWorker(url: string, engine: string, more: readonly string[] = []): ChildProcess {
  const args = [gradcast, 'worker', url, '--workers', '1', '--engine', engine, '--quiet', ...more];
  return killOnExit(
    spawn(process.execPath, args, {
      // The worker ends when this process closes its stdin.
      stdio: ['pipe', 'inherit', 'inherit'],
      env: { ...process.env, GRADCAST_LEASH: 'stdin' },
    }),
  );
}

/** Starts another built entry of this folder, with a channel for messages. @param execArgv options of Node */
export function forkEntry(
  name: string,
  args: readonly string[],
  execArgv: readonly string[] = [],
): ChildProcess {
  const child = fork(join(dirname(process.argv[1] ?? ''), 'support', `${name}.js`), args, {
    stdio: 'inherit',
    execArgv: [...execArgv],
  });
  killOnExit(child);
  child.once('exit', (code) => {
    if (code !== null && code !== 0) process.exit(code);
  });
  return child;
}

/** Waits for the next message of a forked entry. */
export function nextMessage<Message>(child: ChildProcess): Promise<Message> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`A process of the bench has ended (${code ?? 'killed'}).`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message as Message);
    });
  });
}
