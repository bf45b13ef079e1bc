import { GRADIENT_TOLERANCE } from '../../shared/engine/gradient-tolerance.ts';
import type { BackendName } from './backend-candidates.ts';

/** Result of benchmarking an engine. */
export type BenchmarkResult = {
  readonly backend: BackendName;
  readonly threads: number;
} & (
  | {
      readonly samplesPerSecond: number;
      /** Difference from WebAssembly's gradient, relative to its norm; null without WebAssembly. */
      readonly difference: number | null;
    }
  | { readonly problem: string }
);

/** Speedup that justifies a change of engines, which costs the run a shard. */
export const MIN_SPEEDUP = 1.1;

const BACKEND_NAMES: Readonly<Record<BackendName, string>> = {
  wasm: 'WebAssembly',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
};

/** Speed of an engine that computes correct gradients; null for other engines. */
export function correctSpeed(result: BenchmarkResult): number | null {
  if ('problem' in result) return null;
  const { difference, samplesPerSecond } = result;
  // Comparison with NaN is false.
  return difference === null || difference <= GRADIENT_TOLERANCE ? samplesPerSecond : null;
}

/** Chooses the fastest engine, but keeps the current one unless another is faster by MIN_SPEEDUP. */
export function rankEngines(
  current: BenchmarkResult | null,
  others: readonly BenchmarkResult[],
): BenchmarkResult | null {
  const currentSpeed = current === null ? null : correctSpeed(current);
  const [fastest] = others
    .filter((result) => correctSpeed(result) !== null)
    .toSorted((a, b) => (correctSpeed(b) ?? 0) - (correctSpeed(a) ?? 0));
  if (fastest === undefined) return currentSpeed === null ? null : current;
  return currentSpeed !== null && (correctSpeed(fastest) ?? 0) < currentSpeed * MIN_SPEEDUP
    ? current
    : fastest;
}

/** Explains the choice of an engine: the results of all benchmarks. */
export function explainChoice(results: readonly BenchmarkResult[], pending: readonly BackendName[]): string {
  const descriptions = results.map((result) => `${describeBackend(result)} ${describeResult(result)}`);
  const next = pending.map((backend) => BACKEND_NAMES[backend]).join(' and ');
  const more = next === '' ? '' : ` ${next} ${pending.length > 1 ? 'are' : 'is'} tried next.`;
  return descriptions.length === 0 ? more.trim() : `Measured here: ${descriptions.join('; ')}.${more}`;
}

function describeBackend({ backend, threads }: BenchmarkResult): string {
  return backend === 'wasm' && threads > 1
    ? `${BACKEND_NAMES.wasm} on ${threads} cores`
    : BACKEND_NAMES[backend];
}

function describeResult(result: BenchmarkResult): string {
  if ('problem' in result) return `does not work (${result.problem.replace(/\.$/, '').slice(0, 120)})`;
  const { difference } = result;
  if (correctSpeed(result) === null)
    return `computes wrong gradients (off by ${(difference ?? NaN).toPrecision(2)})`;
  return `${Math.round(result.samplesPerSecond).toLocaleString('en-US')} samples/s`;
}
