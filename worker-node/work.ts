import { hostname } from 'node:os';
import { clockOf } from '../shared/clock.ts';
import { runWorker } from '../shared/worker/connection-loop.ts';
import type { WorkerReport } from '../shared/worker/run-session.ts';
import { garbageCollector } from './collect-garbage.ts';
import { connectWebSocket } from './connect.ts';
import { chooseEngine, type EngineChoice } from './engine/choose.ts';

export interface WorkOptions {
  readonly url: string;
  readonly token?: string | undefined;
  readonly name?: string | undefined;
  readonly engine: EngineChoice;
  readonly signal: AbortSignal;
  /** What went as it should. */
  readonly info: (line: string) => void;
  /** What the person should know. */
  readonly note: (line: string) => void;
}

/**
 * One worker in this process, until the run is over or it is asked to leave.
 * @returns why it ended
 */
export async function work(options: WorkOptions): Promise<string> {
  const { url, token, signal, info, note } = options;
  const name = options.name ?? hostname();
  const { engine, why } = await chooseEngine(options.engine, (line) => note(`${name}: ${line}`));
  const { backend, device, threads } = engine.info;
  info(`${name}: ${backend} on ${device}, ${threads} thread${threads === 1 ? '' : 's'} (${why})`);
  const report: WorkerReport = {
    joined: ({ job }) => info(`${name}: joined ${url}, ${job.data.name}, batch ${job.batchSize}`),
    // The gradient has left, the next weights are on their way: nobody waits for this worker now.
    computed: garbageCollector(),
    waiting: (line) => note(`${name}: ${line}`),
    note: (line) => note(`${name}: ${line}`),
  };
  return runWorker({
    url,
    name,
    ...(token === undefined ? {} : { token }),
    engine,
    connect: connectWebSocket,
    clock: clockOf(globalThis),
    random: Math.random,
    report,
    signal,
  });
}
