import type { BackendName } from './messages.ts';

/** What came of trying an engine. */
export type Outcome = {
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
export const WORTH = 1.1;

const NAMES: Readonly<Record<BackendName, string>> = {
  wasm: 'WebAssembly',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
};

/** The speed of an engine that computes right; null for one that does not, or not at all. */
export function speedOf(outcome: Outcome): number | null {
  if ('problem' in outcome) return null;
  const { difference, samplesPerSecond } = outcome;
  // NaN is no small difference.
  return difference === null || difference <= TOLERANCE ? samplesPerSecond : null;
}

/** The engine to go on with: the fastest, but the present one unless another is worth a changeover. */
export function best(present: Outcome | null, others: readonly Outcome[]): Outcome | null {
  const presentSpeed = present === null ? null : speedOf(present);
  const [fastest] = others
    .filter((outcome) => speedOf(outcome) !== null)
    .toSorted((a, b) => (speedOf(b) ?? 0) - (speedOf(a) ?? 0));
  if (fastest === undefined) return presentSpeed === null ? null : present;
  return presentSpeed !== null && (speedOf(fastest) ?? 0) < presentSpeed * WORTH ? present : fastest;
}

/** Why an engine was taken: what each did in the trial, in one sentence. */
export function whyText(outcomes: readonly Outcome[], pending: readonly BackendName[]): string {
  const said = outcomes.map((outcome) => `${nameOf(outcome)} ${resultOf(outcome)}`);
  const next = pending.map((backend) => NAMES[backend]).join(' and ');
  const more = next === '' ? '' : ` ${next} ${pending.length > 1 ? 'are' : 'is'} tried next.`;
  return said.length === 0 ? more.trim() : `Measured here: ${said.join('; ')}.${more}`;
}

function nameOf({ backend, threads }: Outcome): string {
  return backend === 'wasm' && threads > 1 ? `${NAMES.wasm} on ${threads} cores` : NAMES[backend];
}

function resultOf(outcome: Outcome): string {
  if ('problem' in outcome) return `does not work (${outcome.problem.replace(/\.$/, '').slice(0, 120)})`;
  const { difference } = outcome;
  if (speedOf(outcome) === null)
    return `computes wrong gradients (off by ${(difference ?? NaN).toPrecision(2)})`;
  return `${Math.round(outcome.samplesPerSecond).toLocaleString('en-US')} samples/s`;
}

/** |a - b| / |b| */
export function differenceOf(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    const expected = b[i] ?? NaN;
    difference += ((a[i] ?? NaN) - expected) ** 2;
    norm += expected ** 2;
  }
  return Math.sqrt(difference / norm);
}
