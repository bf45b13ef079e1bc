import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { writeDigits } from './idx-bytes.ts';
import { killProcessesWith } from './leftover-processes.ts';
import { fixedRandom } from './property.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkersReady,
  type TestCoordinator,
} from './test-coordinator.ts';
import { trainToEnd } from './training-run.ts';
import { gradcast, waitForOutput, spawnProgram, type WorkerProcess } from './worker-process.ts';

/** Environment of the processes of a test of exits. */
export interface ExitEnvironment {
  readonly engine: string;
  /** A coordinator that requires a token. */
  readonly coordinator: TestCoordinator;
  /** Environment variables of the processes, with a temporary folder of their own. */
  readonly env: NodeJS.ProcessEnv;
  /** Folder with a data set and the folders of runs. */
  readonly scratch: string;
  /** Kills leftover processes and returns them with leftover temporary files. */
  readonly findLeftovers: () => Promise<string[]>;
  readonly close: () => Promise<void>;
}

/** One way for a process to end. */
export interface ExitCase {
  readonly name: string;
  /** Allowed exit codes and signals. */
  readonly expected: readonly (number | string)[];
  readonly run: (environment: ExitEnvironment) => Promise<ExitedWorker>;
}

export interface ExitedWorker {
  readonly code: number | string;
  readonly output: string;
}

const TOKEN = 's3cret';
/** Address without a coordinator: port 1 is reserved. */
const UNREACHABLE = 'ws://127.0.0.1:1';
/** Longer than a native engine takes to load on an idle machine. */
const LOADING_MS = 2_000;
const random = fixedRandom();
const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 16 });

export async function createExitEnvironment(engine: string): Promise<ExitEnvironment> {
  const scratch = await mkdtemp(join(tmpdir(), 'gradcast-ends-'));
  const temporary = await mkdtemp(join(tmpdir(), 'gradcast-ends-'));
  await writeDigits(join(scratch, 'digits'), dataset);
  const coordinator = await startCoordinator();
  return {
    engine,
    coordinator,
    scratch,
    env: { ...process.env, TMPDIR: temporary, GRADCAST_TOKEN: undefined, MNIST_DIR: undefined },
    findLeftovers: async () => [
      ...(await killProcessesWith('TMPDIR', temporary)),
      ...(await readdir(temporary)),
    ],
    async close() {
      await coordinator.close('done');
      for (const folder of [scratch, temporary]) await rm(folder, { recursive: true });
    },
  };
}

const startCoordinator = (): Promise<TestCoordinator> =>
  testCoordinator(dataset, { topology: tinyTopology([28, 28, 1], 10), batchSize: 16, token: TOKEN });

function start({ engine, env }: ExitEnvironment, url: string, ...options: string[]): WorkerProcess {
  const workers = options.includes('--workers') ? [] : ['--workers', '1'];
  const fixed = ['worker', url, '--engine', engine];
  return spawnProgram([process.execPath, gradcast, ...fixed, ...workers, ...options], env);
}

let runs = 0;
/** Starts a run with two workers that continues until it is stopped. */
function train({ engine, env, scratch }: ExitEnvironment): WorkerProcess {
  const folders = ['--data', join(scratch, 'digits'), '--out', join(scratch, `run-${runs++}`)];
  const fixed = ['train', '--engine', engine, '--workers', '2'];
  return spawnProgram([process.execPath, gradcast, ...fixed, ...folders, '--epochs', '100000'], env);
}

const waitForExit = async (worker: WorkerProcess): Promise<ExitedWorker> => ({
  code: await worker.ended,
  output: worker.output(),
});

async function sendSignals(
  worker: WorkerProcess,
  pattern: RegExp,
  ...signals: NodeJS.Signals[]
): Promise<ExitedWorker> {
  await waitForOutput(worker, pattern);
  for (const signal of signals) worker.kill(signal);
  return waitForExit(worker);
}

/** Ends a worker that cannot connect, by signals. */
const exitWhileUnconnected = (
  environment: ExitEnvironment,
  ...signals: NodeJS.Signals[]
): Promise<ExitedWorker> => sendSignals(start(environment, UNREACHABLE), /No connection/, ...signals);

/** Sends signals at a random moment of the start: before the command runs, while the engine loads, or after that. */
async function exitWhileLoading(
  environment: ExitEnvironment,
  ...signals: NodeJS.Signals[]
): Promise<ExitedWorker> {
  const worker = start(environment, UNREACHABLE);
  await new Promise((resolve) => setTimeout(resolve, random() * LOADING_MS));
  for (const signal of signals) worker.kill(signal);
  return waitForExit(worker);
}

const twoWorkers = ['--workers', '2'];
const bothUnconnected = /No connection[^]*No connection/;

/** All known ways to exit. In most of them the engine never had a job. */
export const EXIT_CASES: readonly ExitCase[] = [
  {
    name: 'refused: no token',
    expected: [1],
    run: (environment) => waitForExit(start(environment, environment.coordinator.url)),
  },
  {
    name: 'refused: wrong token',
    expected: [1],
    run: (environment) => waitForExit(start(environment, environment.coordinator.url, '--token', 'guess')),
  },
  {
    name: 'refused: two processes without a token',
    expected: [1],
    run: (environment) => waitForExit(start(environment, environment.coordinator.url, ...twoWorkers)),
  },
  {
    name: 'no coordinator: SIGINT',
    expected: [130],
    run: (environment) => exitWhileUnconnected(environment, 'SIGINT'),
  },
  {
    name: 'no coordinator: SIGINT twice',
    expected: [130],
    run: (environment) => exitWhileUnconnected(environment, 'SIGINT', 'SIGINT'),
  },
  {
    name: 'no coordinator: SIGTERM',
    expected: [130],
    run: (environment) => exitWhileUnconnected(environment, 'SIGTERM'),
  },
  {
    name: 'no coordinator: SIGKILL',
    expected: ['SIGKILL'],
    run: (environment) => exitWhileUnconnected(environment, 'SIGKILL'),
  },
  {
    name: 'no coordinator: two processes, SIGTERM of their parent',
    expected: [130],
    run: (environment) =>
      sendSignals(start(environment, UNREACHABLE, ...twoWorkers), bothUnconnected, 'SIGTERM'),
  },
  {
    name: 'no coordinator: two processes, SIGKILL of their parent',
    expected: ['SIGKILL'],
    run: (environment) =>
      sendSignals(start(environment, UNREACHABLE, ...twoWorkers), bothUnconnected, 'SIGKILL'),
  },
  {
    name: 'while the engine loads: SIGTERM',
    expected: [130, 'SIGTERM'],
    run: (environment) => exitWhileLoading(environment, 'SIGTERM'),
  },
  {
    name: 'while the engine loads: SIGINT twice',
    expected: [130, 'SIGINT'],
    run: (environment) => exitWhileLoading(environment, 'SIGINT', 'SIGINT'),
  },
  {
    name: 'joined, no work yet: SIGTERM',
    expected: [130],
    run: (environment) =>
      sendSignals(start(environment, environment.coordinator.url, '--token', TOKEN), /joined/, 'SIGTERM'),
  },
  {
    name: 'the run is finished before it began',
    expected: [0],
    run: async (environment) => {
      const own = await startCoordinator();
      const worker = start(environment, own.url, '--token', TOKEN);
      await waitForOutput(worker, /joined/);
      await own.close('The run is finished.');
      return waitForExit(worker);
    },
  },
  {
    name: 'after a run',
    expected: [0],
    run: async (environment) => {
      const own = await startCoordinator();
      const worker = start(environment, own.url, '--token', TOKEN);
      await waitForWorkersReady(own, 1);
      await trainToEnd(own, dataset);
      await own.close('The run is finished.');
      return waitForExit(worker);
    },
  },
  {
    name: 'a run with two workers: SIGINT',
    expected: [130],
    run: (environment) => sendSignals(train(environment), /Epoch 1\//, 'SIGINT'),
  },
  {
    name: 'a run with two workers: SIGINT twice',
    expected: [130],
    run: (environment) => sendSignals(train(environment), /Epoch 1\//, 'SIGINT', 'SIGINT'),
  },
  {
    name: 'a run with two workers: SIGKILL',
    expected: ['SIGKILL'],
    run: (environment) => sendSignals(train(environment), /Epoch 1\//, 'SIGKILL'),
  },
];
