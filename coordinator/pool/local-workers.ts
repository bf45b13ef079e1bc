import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';

/** Workers in processes of their own on this machine. */
export interface LocalWorkerCount {
  readonly workers: number;
  /** Threads of each worker's engine. @default chosen by the workers */
  readonly threads?: number | undefined;
}

export interface LocalWorkersOptions {
  readonly count: number;
  /** Program and first arguments that run gradcast. */
  readonly command: readonly [string, ...string[]];
  readonly url: string;
  readonly token?: string | undefined;
  /** Fingerprint of the coordinator's TLS certificate. @default none: no TLS, or a certificate that the workers trust */
  readonly fingerprint?: string | undefined;
  readonly engine: EngineChoice;
  /** SHA-256 of the custom code that the workers run. @default none */
  readonly trust?: string | undefined;
  /** Threads of each worker's engine. @default chosen by the workers */
  readonly threads?: number | undefined;
  readonly onLine: (line: string) => void;
}

export interface LocalWorkers {
  /** Resolves with the last line of output when the processes end without stop(). */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

const STOP_GRACE_MS = 5_000;

/** Log lines that TensorFlow 2.21 writes in spite of TF_CPP_MIN_LOG_LEVEL. */
const TENSORFLOW_LOG_NOISE =
  /^(I\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] |WARNING: All log messages before absl::InitializeLog\(\))/;

/** Starts workers on this machine, in separate processes that connect like any other worker. */
export function startLocalWorkers(options: LocalWorkersOptions): LocalWorkers {
  const { count, command, url, token, fingerprint, engine, threads, trust, onLine } = options;
  const pin = fingerprint === undefined ? [] : ['--fingerprint', fingerprint];
  const [program, ...args] = command;
  const child = spawn(
    program,
    [
      ...args,
      'worker',
      url,
      '--quiet',
      '--name',
      'local',
      '--engine',
      engine,
      '--workers',
      String(count),
      ...pin,
      ...(trust === undefined ? [] : ['--trust', trust]),
      ...(threads === undefined ? [] : ['--threads', String(threads)]),
    ],
    {
      // Parent pipe: stdin closes when this process ends for any reason, and the workers end with it.
      stdio: ['pipe', 'pipe', 'pipe'],
      // A token on the command line could be read by every user of the machine.
      env: {
        ...process.env,
        GRADCAST_LEASH: 'stdin',
        ...(token === undefined ? {} : { GRADCAST_TOKEN: token }),
      },
    },
  );
  child.stdin.on('error', () => undefined);
  let lastLine = 'no output';
  const ignoredLines = process.env.TF_CPP_MIN_LOG_LEVEL === undefined ? TENSORFLOW_LOG_NOISE : null;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (ignoredLines?.test(line) === true) return;
      lastLine = line;
      onLine(line);
    });
  }
  let stopping = false;
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      lastLine = error.message;
      resolve();
    });
    child.once('close', () => resolve());
  });

  return {
    exited: new Promise((resolve) => {
      void ended.then(() => {
        if (!stopping) resolve(lastLine);
      });
    }),
    async stop() {
      stopping = true;
      child.stdin.end();
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
      await ended;
      clearTimeout(kill);
    },
  };
}
