import * as v from 'valibot';
import { GRADIENT_TOLERANCE } from '../../../shared/engine/gradient-tolerance.ts';
import { parseJson } from '../../util/parse-json.ts';
import { runProgram, type ProgramResult } from '../../util/run-program.ts';

/** GPU that an engine could use. */
export const gpuSchema = v.object({
  number: v.number(),
  system: v.string(),
  name: v.string(),
  vendor: v.string(),
  architecture: v.string(),
  driver: v.string(),
  isSoftware: v.boolean(),
  isSelectable: v.boolean(),
});

/** Report of an engine that was benchmarked in a process of its own. */
const benchmarkSchema = v.object({
  backend: v.string(),
  version: v.string(),
  tensorflow: v.nullable(v.string()),
  device: v.string(),
  gpu: v.boolean(),
  threads: v.number(),
  lossBefore: v.number(),
  lossAfter: v.number(),
  batch: v.number(),
  msPerSample: v.number(),
  /** Difference of the gradient from WebAssembly's relative to its norm; null if it was not compared. */
  difference: v.nullable(v.number()),
  /** GPUs that the engine lists; none if it lists none. */
  gpus: v.optional(v.array(gpuSchema), []),
});
export type EngineBenchmark = v.InferOutput<typeof benchmarkSchema>;

export type VerifyResult =
  | { readonly ok: true; readonly benchmark: EngineBenchmark }
  | { readonly ok: false; readonly reason: string };

/** Engine to benchmark: 'wasm', or another by the folder that its package is resolved from. */
export interface BenchmarkTarget {
  readonly engine: 'wasm' | 'native' | 'webgpu';
  readonly package?: string;
  /** Undefined for the packages that gradcast is installed with. */
  readonly folder?: string | undefined;
}

const OUTPUT_PREFIX = 'gradcast-probe ';
const TIMEOUT_MS = 120_000;
/** Reason of a child that has not computed a step in time. */
export const NO_STEP = `no training step within ${TIMEOUT_MS / 1000} s`;

/**
 * Computes training steps in a child process, so that an engine that crashes does not end this one.
 * @param command runs gradcast
 */
export async function benchmarkInChild(
  command: readonly [string, ...string[]],
  { engine, package: name, folder }: BenchmarkTarget,
  batch: number,
  signal: AbortSignal,
): Promise<VerifyResult> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const args = ['--engine', engine, '--batch', String(batch)];
  if (name !== undefined) args.push('--package', name);
  if (folder !== undefined) args.push('--folder', folder);
  try {
    const result = await runProgram([...command, 'engine', 'probe', ...args], {
      signal: AbortSignal.any([signal, limit]),
    });
    return parseBenchmark(result);
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) return { ok: false, reason: NO_STEP };
    throw error;
  }
}

/** Formats the line that the child prints. */
export const formatBenchmarkLine = (benchmark: EngineBenchmark): string =>
  `${OUTPUT_PREFIX}${JSON.stringify(benchmark)}\n`;

export function parseBenchmark({ code, lines }: ProgramResult): VerifyResult {
  const line = lines.find((each) => each.startsWith(OUTPUT_PREFIX));
  if (line !== undefined) {
    const { success, output } = v.safeParse(benchmarkSchema, parseJson(line.slice(OUTPUT_PREFIX.length)));
    if (!success || !(output.lossAfter < output.lossBefore))
      return { ok: false, reason: 'its training step does not lower the loss' };
    if (output.difference !== null && !(output.difference <= GRADIENT_TOLERANCE))
      return {
        ok: false,
        reason: `its gradient is wrong: off by ${output.difference.toPrecision(2)} of its norm`,
      };
    return { ok: true, benchmark: output };
  }
  return { ok: false, reason: failureOf({ code, lines }) };
}

/** Reason, as the end of a sentence, why a child process of gradcast has no result. */
export function failureOf({ code, lines }: ProgramResult): string {
  const error = lines.findLast((each) => each.startsWith('gradcast: '))?.slice('gradcast: '.length);
  const text = error ?? lines.findLast((each) => each.trim() !== '') ?? 'it printed nothing';
  return code === null ? `it crashed (${text})` : text;
}

export function describeBenchmark({
  backend,
  version,
  device,
  threads,
  tensorflow,
  msPerSample,
  batch,
  gpu,
  difference,
}: EngineBenchmark): string {
  const library = tensorflow === null ? '' : `TensorFlow ${tensorflow} `;
  // Its version says how kernels round.
  const name = backend === 'wasm' ? `TensorFlow.js ${version} ` : library;
  const on = gpu ? device : `${device}, ${threads} thread${threads === 1 ? '' : 's'}`;
  const compared =
    difference === null ? '' : `; gradient within ${difference.toPrecision(2)} of that by WebAssembly`;
  return `${name}on ${on}: ${msPerSample.toFixed(3)} ms a sample at batch ${batch}${compared}`;
}

/** Whether a GPU is faster than workers of another engine on all cores. A processor in place of a GPU is not. */
export const isFaster = (gpu: EngineBenchmark, other: EngineBenchmark, cores: number): boolean =>
  gpu.gpu && gpu.msPerSample < other.msPerSample / workersOf(other, cores);

/** Workers of an engine that use all cores: WebAssembly is measured on one. */
export const workersOf = ({ gpu, threads }: EngineBenchmark, cores: number): number =>
  gpu ? 1 : Math.max(1, Math.floor(cores / threads));
