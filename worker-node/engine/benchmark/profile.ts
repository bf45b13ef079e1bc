import type { GradientComputer } from '../../../shared/engine/engine.ts';
import { createModelStep } from '../../../shared/engine/model-step.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import { createGradientComputer, copyingTransfers } from '../../../shared/engine/tf-engine.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { median } from '../../../shared/util/median.ts';
import type { EngineChoice } from '../../../shared/engine/engine-choice.ts';
import { openNative } from '../native/open-native.ts';
import { createCapturedGradientComputer } from '../native/captured-gradient-computer.ts';
import { registerNativeGradients } from '../native/gradients.ts';
import { manualIdle } from '../native/idle-scheduler.ts';
import { benchmarkJob, type BenchmarkCase } from '../../../shared/engine/benchmark-job.ts';
import { openWasmEngine } from '../open/open-wasm.ts';
import { OpTimer, type OpTime } from './op-timer.ts';
import { timeKernels, timeNativeOps } from './time-ops.ts';

/** Times of a gradient step of the default model. */
export interface Profile {
  readonly engine: string;
  readonly gpu: boolean;
  readonly threads: number;
  readonly batch: number;
  /** Number of timed steps. */
  readonly steps: number;
  /** Median of a whole step that runs op by op. */
  readonly stepMs: number;
  /** Step as a captured graph, as workers run it; null without one. */
  readonly captured: { readonly stepMs: number; readonly ops: readonly OpTime[] } | null;
  /** Ops of the step that runs op by op, longest first. */
  readonly ops: readonly OpTime[];
}

const WARM_UP_STEPS = 5;

/**
 * Times gradient steps in this process: every op, and whole steps.
 * @param choice 'auto' takes native TensorFlow if it is installed
 * @throws Error with a sentence if the requested engine cannot be opened
 */
export async function profileEngine(choice: EngineChoice, batch: number, steps: number): Promise<Profile> {
  const sample = benchmarkJob(batch);
  if (choice !== 'wasm') {
    const opened = await openNative();
    if ('native' in opened) return profileNative(opened, sample, steps);
    if (choice === 'native') {
      throw new Error(`No native TensorFlow here: ${opened.missing}. --engine wasm needs nothing.`);
    }
  }
  const engine = await openWasmEngine();
  const tf = await import('@tensorflow/tfjs');
  const clock = new OpTimer(() => performance.now());
  const computer = await engine.load(sample.job);
  try {
    const restore = timeKernels(tf, 'wasm', clock);
    const { stepMs, ops } = await timeSteps(computer, sample, steps, clock).finally(restore);
    return {
      engine: 'WebAssembly',
      gpu: false,
      threads: engine.info.threads,
      batch,
      steps,
      stepMs,
      captured: null,
      ops,
    };
  } finally {
    computer.dispose();
  }
}

async function profileNative(
  { native, threads }: Extract<Awaited<ReturnType<typeof openNative>>, { native: unknown }>,
  sample: BenchmarkCase,
  steps: number,
): Promise<Profile> {
  const { tf, backend } = native;
  const { job } = sample;
  registerNativeGradients(tf, backend);
  const modelStep = await createModelStep(tf, job);
  const clock = new OpTimer(() => performance.now());
  const eager = createGradientComputer(tf, job, modelStep, new ShardInputs(job), copyingTransfers);
  let restore = timeNativeOps(backend, clock);
  const { stepMs, ops } = await timeSteps(eager, sample, steps, clock).finally(restore);

  // The graph is captured at once: no step has to be fast.
  const idle = manualIdle();
  const failures: string[] = [];
  const note = (line: string): void => void failures.push(line);
  const computer = createCapturedGradientComputer(native, job, modelStep, { idle, note });
  try {
    await runSteps(computer, sample, 1);
    idle.run();
    restore = timeNativeOps(backend, clock);
    const replayed = await timeSteps(computer, sample, steps, clock).finally(restore);
    return {
      engine: `TensorFlow ${backend.binding.TF_Version ?? ''}`.trimEnd(),
      gpu: backend.isUsingGpuDevice === true,
      threads,
      batch: job.batchSize,
      steps,
      stepMs,
      captured: failures.length === 0 ? replayed : null,
      ops,
    };
  } finally {
    computer.dispose();
  }
}

async function timeSteps(
  computer: GradientComputer,
  sample: BenchmarkCase,
  steps: number,
  clock: OpTimer,
): Promise<Pick<Profile, 'stepMs' | 'ops'>> {
  await runSteps(computer, sample, WARM_UP_STEPS);
  clock.reset();
  const stepMs = median(await runSteps(computer, sample, steps)) ?? NaN;
  return { stepMs, ops: clock.times(steps) };
}

/** @returns the milliseconds of each step with new weights and prepared inputs, as in a worker */
async function runSteps(
  computer: GradientComputer,
  { weights, shard }: BenchmarkCase,
  steps: number,
): Promise<number[]> {
  const gradient = new Float32Array(weights.length);
  const times: number[] = [];
  for (let step = 0; step < steps; step++) {
    computer.prepare(step as Step, shard);
    const startedMs = performance.now();
    computer.setWeights(weights);
    await computer.gradient(step as Step, shard, gradient);
    times.push(performance.now() - startedMs);
  }
  return times;
}

/** Ops with a smaller share of the step are summed in one line. */
const MIN_SHARE = 0.005;
const TABLE_HEADER = 'op                          calls        ms   share  shapes of its inputs';

/** Formats tables of op, calls, ms and share of the step, longest first. */
export function describeProfile(profile: Profile): string[] {
  const { engine, gpu, threads, batch, steps, stepMs, captured, ops } = profile;
  const lines = [
    `A gradient step of the default model on ${engine}, ${threads} thread${threads === 1 ? '' : 's'}, batch ${batch}; ` +
      `ops: mean of ${steps} steps, whole step: median`,
    ...(gpu ? ['On the GPU: the times of single ops are those of starting an op, not of its end.'] : []),
    '',
    `Op by op: ${stepMs.toFixed(1)} ms`,
    TABLE_HEADER,
    ...formatTable(ops),
  ];
  if (captured === null) return lines;
  return [
    ...lines,
    '',
    `Captured as a graph, as workers run it: ${captured.stepMs.toFixed(1)} ms`,
    TABLE_HEADER,
    ...formatTable(captured.ops),
  ];
}

function formatTable(ops: readonly OpTime[]): string[] {
  const sum = (times: readonly OpTime[]): { calls: number; ms: number } => ({
    calls: times.reduce((total, { calls }) => total + calls, 0),
    ms: times.reduce((total, { ms }) => total + ms, 0),
  });
  const all = sum(ops);
  const row = (op: string, { calls, ms }: { calls: number; ms: number }, inputs = ''): string => {
    const share = `${((100 * ms) / all.ms).toFixed(1)}%`;
    const columns = [
      op.padEnd(28),
      calls.toFixed(0).padStart(6),
      ms.toFixed(2).padStart(9),
      share.padStart(7),
    ];
    return `${columns.join(' ')}  ${inputs}`.trimEnd();
  };
  const shown = ops.filter(({ ms }) => ms >= MIN_SHARE * all.ms);
  const rest = ops.filter(({ ms }) => ms < MIN_SHARE * all.ms);
  return [
    ...shown.map((each) => row(each.op, each, each.inputs)),
    ...(rest.length === 0 ? [] : [row(`${rest.length} others`, sum(rest))]),
    row('all', all),
  ];
}
