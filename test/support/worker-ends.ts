import { drawDigits } from '../../shared/data/drawn-digits.ts';
import { testCoordinator, tinyTopology, workersReady, type TestCoordinator } from './test-coordinator.ts';
import { fixedRandom } from './property.ts';
import { trainToTheEnd } from './training-run.ts';
import { gradcast, said, spawnProgram, type WorkerProcess } from './worker-process.ts';

/** One way for a worker process to end. */
export interface WorkerEnd {
  readonly name: string;
  /** Exit codes, or signals, with which it may end. */
  readonly expected: readonly (number | string)[];
  /** Runs one worker to its end. */
  readonly run: (engine: string, coordinator: TestCoordinator) => Promise<EndedWorker>;
}

export interface EndedWorker {
  readonly code: number | string;
  readonly output: string;
}

export const ENDS_TOKEN = 's3cret';
/** No coordinator listens there: port 1 is reserved. */
const NOWHERE = 'ws://127.0.0.1:1';
/** Longer than a native engine takes to load. */
const LOADING_MS = 2_000;
const random = fixedRandom();

const start = (url: string, engine: string, ...options: string[]): WorkerProcess =>
  spawnProgram(
    [
      ...([
        process.execPath,
        gradcast,
        'worker',
        url,
        '--engine',
        engine,
        '--install-native',
        'never',
      ] as const),
      ...(options.includes('--workers') ? options : ['--workers', '1', ...options]),
    ],
    process.env,
  );

const ended = async (worker: WorkerProcess): Promise<EndedWorker> => ({
  code: await worker.ended,
  output: worker.output(),
});

/** A worker that has nobody to connect to, ended by signals. */
const away = (engine: string, ...signals: NodeJS.Signals[]): Promise<EndedWorker> =>
  signalled(start(NOWHERE, engine), /No connection/, signals);

async function signalled(
  worker: WorkerProcess,
  pattern: RegExp,
  signals: readonly NodeJS.Signals[],
): Promise<EndedWorker> {
  await said(worker, pattern);
  for (const signal of signals) worker.kill(signal);
  return ended(worker);
}

/** Signals at a random moment of the start: before the command runs, while the engine loads, or after. */
async function whileLoading(engine: string, ...signals: NodeJS.Signals[]): Promise<EndedWorker> {
  const worker = start(NOWHERE, engine);
  await new Promise((resolve) => setTimeout(resolve, random() * LOADING_MS));
  for (const signal of signals) worker.kill(signal);
  return ended(worker);
}

/** Every way to end that is known, with an engine that never had a job first. */
export const WORKER_ENDS: readonly WorkerEnd[] = [
  {
    name: 'refused: no token',
    expected: [1],
    run: (engine, { url }) => ended(start(url, engine)),
  },
  {
    name: 'refused: wrong token',
    expected: [1],
    run: (engine, { url }) => ended(start(url, engine, '--token', 'guess')),
  },
  {
    name: 'refused: two processes without a token',
    expected: [1],
    run: (engine, { url }) => ended(start(url, engine, '--workers', '2')),
  },
  { name: 'no coordinator: SIGINT', expected: [0], run: (engine) => away(engine, 'SIGINT') },
  {
    name: 'no coordinator: SIGINT twice',
    expected: [0, 130],
    run: (engine) => away(engine, 'SIGINT', 'SIGINT'),
  },
  { name: 'no coordinator: SIGTERM', expected: [0], run: (engine) => away(engine, 'SIGTERM') },
  {
    name: 'while the engine loads: SIGTERM',
    expected: [0, 130, 'SIGTERM'],
    run: (engine) => whileLoading(engine, 'SIGTERM'),
  },
  {
    name: 'while the engine loads: SIGINT twice',
    expected: [0, 130, 'SIGINT'],
    run: (engine) => whileLoading(engine, 'SIGINT', 'SIGINT'),
  },
  {
    name: 'joined, no work yet: SIGTERM',
    expected: [0],
    run: (engine, { url }) => signalled(start(url, engine, '--token', ENDS_TOKEN), /joined/, ['SIGTERM']),
  },
  {
    name: 'the run is finished before it began',
    expected: [0],
    run: async (engine) => {
      const own = await endsCoordinator();
      const worker = start(own.url, engine, '--token', ENDS_TOKEN);
      await said(worker, /joined/);
      await own.close('The run is finished.');
      return ended(worker);
    },
  },
  {
    name: 'after a run',
    expected: [0],
    run: async (engine) => {
      const own = await endsCoordinator();
      const worker = start(own.url, engine, '--token', ENDS_TOKEN);
      await workersReady(own, 1);
      await trainToTheEnd(own, dataset);
      await own.close('The run is finished.');
      return ended(worker);
    },
  },
];

const dataset = drawDigits({ seed: 1, trainCount: 64, testCount: 16 });

/** A coordinator with a token and a tiny model. */
export const endsCoordinator = (): Promise<TestCoordinator> =>
  testCoordinator(dataset, {
    topology: tinyTopology([28, 28, 1], 10),
    batchSize: 16,
    token: ENDS_TOKEN,
  });
