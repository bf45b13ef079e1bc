import { fork, spawn, type ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';

/** The program, as built. */
const gradcast = join(dirname(process.argv[1] ?? ''), '../../bin/gradcast.js');

/** Ends a process when this one ends, also by an exception. A bench that is killed leaves that to its children's pipes. */
export function killOnExit<Child extends ChildProcess>(child: Child): Child {
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  return child;
}

/** A worker as a person attaches it. */
export function spawnWorker(url: string, engine: string, more: readonly string[] = []): ChildProcess {
  const args = [gradcast, 'worker', url, '--workers', '1', '--engine', engine, '--quiet', ...more];
  return killOnExit(
    spawn(process.execPath, args, {
      // The open stdin ends the worker when this process is gone.
      stdio: ['pipe', 'inherit', 'inherit'],
      env: { ...process.env, GRADCAST_LEASH: 'stdin' },
    }),
  );
}

/** Another entry of this folder, as built, with a channel for messages. */
export function forkEntry(name: string, args: readonly string[]): ChildProcess {
  const child = fork(join(dirname(process.argv[1] ?? ''), 'support', `${name}.js`), args, {
    stdio: 'inherit',
  });
  killOnExit(child);
  child.once('exit', (code) => {
    if (code !== null && code !== 0) process.exit(code);
  });
  return child;
}

/** The next message of a forked entry. */
export function nextMessage<Message>(child: ChildProcess): Promise<Message> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`a process of the bench ended (${code ?? 'killed'})`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message as Message);
    });
  });
}
