import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Step } from '../../shared/protocol/messages.ts';
import { median } from '../../shared/util/median.ts';
import { openNativeEngine } from '../engine/native/open-native.ts';
import { manualIdle } from '../engine/native/idle-scheduler.ts';
import { benchmarkJob } from '../../shared/engine/benchmark-job.ts';
import { START, formatStepTime } from './step-time-lines.ts';

const WARM_UP_STEPS = 2;
const MIN_STEPS = 3;
/** Time of a measurement, fixed because other processes measure at the same time. */
const WINDOW_MS = 400;

/**
 * Measures captured gradient steps of the native engine in this process: writes a line when it is ready, then measures once
 * for each line of the input.
 * @param input ends after the last measurement
 * @throws Error if there is no native engine
 */
export async function serveBenchmark(
  batch: number,
  input: Readable,
  write: (line: string) => void,
): Promise<void> {
  const idle = manualIdle();
  const opened = await openNativeEngine({ idle });
  if ('missing' in opened) throw new Error(opened.missing);
  const { job, weights, shard } = benchmarkJob(batch);
  const computer = await opened.engine.load(job);
  const gradient = new Float32Array(weights.length);
  let step = 0;
  const timed = async (): Promise<number> => {
    computer.prepare(step as Step, shard);
    const startedMs = performance.now();
    computer.setWeights(weights);
    await computer.gradient(step++ as Step, shard, gradient);
    return performance.now() - startedMs;
  };
  await timed();
  // Captures the graph.
  idle.run();
  for (let i = 0; i < WARM_UP_STEPS; i++) await timed();

  await serveTimes(timed, opened.gpu, input, write);
  computer.dispose();
}

/**
 * Measures steps of a run with WebAssembly workers, as serveBenchmark() does those of the native engine.
 * @param run runs one step
 */
export async function serveRunBenchmark(
  run: () => Promise<void>,
  input: Readable,
  write: (line: string) => void,
): Promise<void> {
  const timed = async (): Promise<number> => {
    const startedMs = performance.now();
    await run();
    return performance.now() - startedMs;
  };
  for (let i = 0; i < WARM_UP_STEPS; i++) await timed();
  await serveTimes(timed, false, input, write);
}

/** @param timed runs one step. Resolves with its milliseconds. */
async function serveTimes(
  timed: () => Promise<number>,
  gpu: boolean,
  input: Readable,
  write: (line: string) => void,
): Promise<void> {
  write(formatStepTime({ stepMs: null, gpu }));
  for await (const line of createInterface({ input })) {
    if (line !== START) continue;
    const times: number[] = [];
    const startedMs = performance.now();
    while (times.length < MIN_STEPS || performance.now() - startedMs < WINDOW_MS) times.push(await timed());
    const stepMs = median(times) ?? NaN;
    write(formatStepTime({ stepMs, gpu }));
  }
}
