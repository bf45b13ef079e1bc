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
/** Others measure at the same time, so it is the time that is fixed, not the number of steps. */
const WINDOW_MS = 400;

/**
 * Measures captured gradient steps of the native engine in this process, together with others: says when it is ready,
 * and then measures as often as it is told to.
 * @param input ends when there is nothing more to measure
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
  const trainer = await opened.engine.load(job);
  const room = new Float32Array(weights.length);
  let step = 0;
  const timed = async (): Promise<number> => {
    trainer.prepare(step as Step, shard);
    const startedMs = performance.now();
    trainer.setWeights(weights);
    await trainer.gradient(step++ as Step, shard, room);
    return performance.now() - startedMs;
  };
  await timed();
  // The graph is captured now.
  idle.run();
  for (let i = 0; i < WARM_UP_STEPS; i++) await timed();

  write(formatStepTime({ stepMs: null, gpu: opened.gpu }));
  for await (const line of createInterface({ input })) {
    if (line !== START) continue;
    const times: number[] = [];
    const startedMs = performance.now();
    while (times.length < MIN_STEPS || performance.now() - startedMs < WINDOW_MS) times.push(await timed());
    const stepMs = median(times) ?? NaN;
    write(formatStepTime({ stepMs, gpu: opened.gpu }));
  }
  trainer.dispose();
}
