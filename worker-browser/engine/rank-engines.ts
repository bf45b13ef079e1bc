import type { BackendName } from './backend-candidates.ts';

/** What came of trying an engine. */
export type BenchmarkResult = {
  readonly backend: BackendName;
  readonly threads: number;
} & (
  | {
      readonly samplesPerSecond: number;
      /** From WebAssembly's gradient, by its norm; null where there was none to compare with. */
      readonly difference: number | null;
    }
  | { readonly problem: string }
);

/**
 * How far a right gradient may be from WebAssembly's, by its norm. Rounding alone gives 1e-6; a max-pool or a ReLU whose
 * choice hangs on it, some 2e-3.
 */
export const TOLERANCE = 5e-3;

/** A changeover costs the run a shard, so it must be worth it. */
export const MIN_SPEEDUP = 1.1;

const BACKEND_NAMES: Readonly<Record<BackendName, string>> = {
  wasm: 'WebAssembly',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
};

/** The speed of an engine that computes right; null for one that does not, or not at all. */
export function correctSpeed(outcome: BenchmarkResult): number | null {
  if ('problem' in outcome) return null;
  const { difference, samplesPerSecond } = outcome;
  // NaN is no small difference.
  return difference === null || difference <= TOLERANCE ? samplesPerSecond : null;
}

/** The engine to go on with: the fastest, but the present one unless another is worth a changeover. */
export function rankEngines(
  present: BenchmarkResult | null,
  others: readonly BenchmarkResult[],
): BenchmarkResult | null {
  const presentSpeed = present === null ? null : correctSpeed(present);
  const [fastest] = others
    .filter((outcome) => correctSpeed(outcome) !== null)
    .toSorted((a, b) => (correctSpeed(b) ?? 0) - (correctSpeed(a) ?? 0));
  if (fastest === undefined) return presentSpeed === null ? null : present;
  return presentSpeed !== null && (correctSpeed(fastest) ?? 0) < presentSpeed * MIN_SPEEDUP
    ? present
    : fastest;
}

/** Why an engine was taken: what each did in the trial, in one sentence. */
export function explainChoice(outcomes: readonly BenchmarkResult[], pending: readonly BackendName[]): string {
  const said = outcomes.map((outcome) => `${describeBackend(outcome)} ${describeResult(outcome)}`);
  const next = pending.map((backend) => BACKEND_NAMES[backend]).join(' and ');
  const more = next === '' ? '' : ` ${next} ${pending.length > 1 ? 'are' : 'is'} tried next.`;
  return said.length === 0 ? more.trim() : `Measured here: ${said.join('; ')}.${more}`;
}

function describeBackend({ backend, threads }: BenchmarkResult): string {
  return backend === 'wasm' && threads > 1
    ? `${BACKEND_NAMES.wasm} on ${threads} cores`
    : BACKEND_NAMES[backend];
}

function describeResult(outcome: BenchmarkResult): string {
  if ('problem' in outcome) return `does not work (${outcome.problem.replace(/\.$/, '').slice(0, 120)})`;
  const { difference } = outcome;
  if (correctSpeed(outcome) === null)
    return `computes wrong gradients (off by ${(difference ?? NaN).toPrecision(2)})`;
  return `${Math.round(outcome.samplesPerSecond).toLocaleString('en-US')} samples/s`;
}

/** |a - b| / |b| */
export function relativeDifference(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    const expected = b[i] ?? NaN;
    difference += ((a[i] ?? NaN) - expected) ** 2;
    norm += expected ** 2;
  }
  return Math.sqrt(difference / norm);
}
