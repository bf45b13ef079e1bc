import { Session, type Profiler } from 'node:inspector/promises';
import { fileURLToPath } from 'node:url';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Connect } from '../../shared/protocol/transport.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { linkedPair } from './linked-connection.ts';
import { stubEngine } from './stub-engine.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from './test-coordinator.ts';
import { attachWorker, trainToEnd } from './training-run.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const FOLDERS = ['coordinator/', 'shared/'];
/** Number of the measured step; the steps before it load and set up what a run needs once. */
const MEASURED_STEP = 3;

/** Clock of this process without its periodic timers: those of observers would run during some steps and not during others. */
const clock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = delayMs < 1 ? setTimeout(callback, delayMs) : undefined;
    return () => clearTimeout(timer);
  },
};

/**
 * Finds the files of coordinator/ and shared/ in which a function was called during one training step, sorted. One worker
 * computes the step; coordinator and worker share this process. Engine, transport and clock are not counted: this file hands
 * in a stub engine, connections in memory and the clock above.
 */
export async function findStepFiles(): Promise<string[]> {
  const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 16 });
  const coordinator = await testCoordinator(dataset, {
    topology: tinyTopology([28, 28, 1], 10),
    batchSize: 8,
    clock,
  });
  const connect: Connect = (_, events) => {
    const { left, right } = linkedPair((side) => (side === 'left' ? events : handler));
    let handler = coordinator.pool.connect(right, (accepted) => (handler = accepted));
    queueMicrotask(() => events.onOpen());
    return left;
  };
  const engine = stubEngine({ perSampleMs: 0, tamper: (value) => value });
  const worker = attachWorker(coordinator.url, 'worker', engine, connect, clock);
  await waitForWorkersReady(coordinator, 1);
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  // Each call resets the counts. V8 counts before post() returns, so a step can begin at once.
  const takeCoverage = () => session.post('Profiler.takePreciseCoverage');
  let measured: ReturnType<typeof takeCoverage> | undefined;
  await trainToEnd(coordinator, dataset, {
    beforeStep(step) {
      if (step === MEASURED_STEP) void takeCoverage();
      if (step === MEASURED_STEP + 1) measured = takeCoverage();
    },
    shouldStop: (steps) => steps > MEASURED_STEP,
    clock,
  });
  const coverage = await measured;
  session.disconnect();
  await coordinator.close('done');
  await worker.ended;
  return filesOf(coverage?.result ?? []);
}

function filesOf(scripts: readonly Profiler.ScriptCoverage[]): string[] {
  return scripts
    .filter(({ functions }) => functions.some(isCalled))
    .map(({ url }) => (url.startsWith('file:') ? fileURLToPath(url) : url).replace(root, ''))
    .filter((path) => FOLDERS.some((folder) => path.startsWith(folder)))
    .sort();
}

/** Whether a function other than the module's own was called; that one begins with the file. */
const isCalled = ({ ranges: [range] }: Profiler.FunctionCoverage): boolean =>
  range !== undefined && range.startOffset > 0 && range.count > 0;
