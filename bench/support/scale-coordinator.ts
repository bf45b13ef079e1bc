// Measures a coordinator in a process of its own. Messages to the parent: the address, then a ScaleResult. Arguments: a ScaleCase as JSON
import { parseCodecRule } from '../../coordinator/links/codecs.ts';
import { collectGarbage } from '../../test/support/collect-garbage.ts';
import { nullEngine } from './null-engine.ts';
import { startInProcessCoordinator } from './in-process-coordinator.ts';
import { smallModel } from './small-model.ts';
import { median } from './statistics.ts';

export interface ScaleCase {
  readonly workers: number;
  readonly model: 'default' | 'small';
  readonly samplesPerWorker: number;
  readonly codec: string;
  readonly steps: number;
}

export interface ScaleResult {
  readonly joinMs: number;
  /** CPU time of the coordinator's process for all joins. */
  readonly joinCpuMs: number;
  readonly stepMs: number;
  /** CPU time of the coordinator's process per step, optimizer included. */
  readonly cpuMs: number;
  /** JavaScript heap and buffers after the steps, garbage collected. */
  readonly heapBytes: number;
  readonly bufferBytes: number;
  /** Resident memory after the steps, and its maximum. */
  readonly residentBytes: number;
  readonly maxResidentBytes: number;
  /** Bytes to and from all workers per step. */
  readonly downBytes: number;
  readonly upBytes: number;
}

/** First steps, in which workers prove themselves and buffers are allocated. */
const WARM_UP_STEPS = 5;

const { workers, model, samplesPerWorker, codec, steps } = JSON.parse(process.argv[2] ?? '{}') as ScaleCase;
const here = await startInProcessCoordinator({
  workers,
  batch: Math.max(128, workers * samplesPerWorker),
  codecs: parseCodecRule(codec),
  buckets: true,
  referenceEngine: nullEngine,
  ...(model === 'small' ? { topology: smallModel } : {}),
});
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const joined = here.coordinator.pool;
const lost: string[] = [];
joined.subscribe({ left: ({ name }, reason) => void lost.push(`${name} left: ${reason}`) });
const bytes = (): { down: number; up: number } => {
  const all = [...joined.workers.values()].map(({ stats }) => stats);
  return {
    down: all.reduce((sum, { bytesDown }) => sum + bytesDown, 0),
    up: all.reduce((sum, { bytesUp }) => sum + bytesUp, 0),
  };
};

const startedMs = performance.now();
const startedCpuMs = cpuMs();
process.send?.(here.url);
await here.allWorkersReady();
const joinMs = performance.now() - startedMs;
const joinCpuMs = cpuMs() - startedCpuMs;
if (joined.workers.size < workers) throw new Error(`Only ${joined.workers.size} workers have joined.`);

for (let i = 0; i < WARM_UP_STEPS; i++) await here.step();
const times: number[] = [];
const beforeCpuMs = cpuMs();
const before = bytes();
for (let i = 0; i < steps; i++) times.push(await here.step());
const perStepCpuMs = (cpuMs() - beforeCpuMs) / steps;
const after = bytes();
if (lost.length > 0) throw new Error(`${lost.length} workers were lost: ${lost.slice(0, 5).join('; ')}`);
for (let i = 0; i < 4; i++) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  collectGarbage();
}
const memory = process.memoryUsage();
const result: ScaleResult = {
  joinMs,
  joinCpuMs,
  stepMs: median(times),
  cpuMs: perStepCpuMs,
  heapBytes: memory.heapUsed,
  bufferBytes: memory.external,
  residentBytes: memory.rss,
  maxResidentBytes: process.resourceUsage().maxRSS * 1024,
  downBytes: (after.down - before.down) / steps,
  upBytes: (after.up - before.up) / steps,
};
process.send?.(result, () => process.exit(0));
