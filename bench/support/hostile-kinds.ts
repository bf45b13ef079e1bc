import type { Shard } from '../../shared/data/shard.ts';
import type { Engine, ShardResult, GradientComputer } from '../../shared/engine/engine.ts';
import type { Step } from '../../shared/protocol/messages.ts';

/** Behavior of a hostile worker. `answers` counts its gradients, from 0. */
interface HostileKind {
  readonly about: string;
  /** Changes an honest gradient in place. */
  readonly spoil?: (gradient: Float32Array, answers: number) => void;
  /** Fills in a gradient without computing it. Returns false for an honest answer. */
  readonly invent?: (gradient: Float32Array, answers: number) => boolean;
  /** Changes the labels before an honest computation. */
  readonly relabel?: (label: number, classes: number, answers: number) => number;
  /** Claims for every evaluation, without computing it, that all samples are correct. */
  readonly allCorrect?: boolean;
  /** Number of answers after which the worker leaves. */
  readonly leavesAfter?: number;
}

const scale =
  (factor: number) =>
  (gradient: Float32Array): void => {
    for (let i = 0; i < gradient.length; i++) gradient[i] = (gradient[i] ?? 0) * factor;
  };

/** Fills a gradient with uniform noise of about this norm. A counter generates it, so that a run can be repeated. */
function noise(gradient: Float32Array, norm: number, seed: number): void {
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  const width = (2 * norm * Math.sqrt(3)) / Math.sqrt(gradient.length);
  for (let i = 0; i < gradient.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    gradient[i] = (state / 2 ** 32 - 0.5) * width;
  }
}

/** Norm of a shard's gradient of the default model at the start. Another norm alone would expose a liar. */
const TYPICAL_NORM = 10;

/** Behaviors that have ruined runs, by name. */
export const HOSTILE_KINDS: Readonly<Record<string, HostileKind>> = {
  honest: { about: 'honest' },
  turned: { about: 'sign flipped', spoil: scale(-1) },
  'times-3': { about: 'gradient x -3', spoil: scale(-3) },
  'times-9': { about: 'gradient x -9', spoil: scale(-9) },
  labels: { about: 'labels + 1', relabel: (label, classes) => (label + 1) % classes },
  drift: { about: 'slow drift', spoil: (gradient, answers) => scale(1 - 0.04 * answers)(gradient) },
  'late-turned': {
    about: 'honest 15 times, then sign flipped',
    spoil: (gradient, answers) => scale(answers < 15 ? 1 : -1)(gradient),
  },
  'late-labels': {
    about: 'honest 15 times, then labels + 1',
    relabel: (label, classes, answers) => (answers < 15 ? label : (label + 1) % classes),
  },
  noise: {
    about: 'noise at once',
    invent: (gradient, answers) => (noise(gradient, TYPICAL_NORM, answers), true),
  },
  greedy: {
    about: 'takes the batch, then 1e30',
    invent: (gradient, answers) => (gradient.fill(answers < 30 ? 0 : 1e30), true),
  },
  zeros: { about: 'zeros at once', invent: (gradient) => (gradient.fill(0), true) },
  once: {
    about: 'one answer of 1e30, then gone',
    leavesAfter: 1,
    spoil: (gradient) => void gradient.fill(1e30),
  },
  three: {
    about: 'three answers of 1e18, then honest',
    spoil: (gradient, answers) => void (answers < 3 && gradient.fill(1e18)),
  },
  largest: {
    about: 'two answers of 3.4e38, then honest',
    spoil: (gradient, answers) => void (answers < 2 && gradient.fill(3.4e38)),
  },
  evaluation: { about: 'all correct at once', allCorrect: true },
};

/** Wraps an engine so that it lies in one of these ways. @param leave called after the last answer */
export function hostileEngine(engine: Engine, kind: string, leave: () => void): Engine {
  const behavior = HOSTILE_KINDS[kind];
  if (behavior === undefined) throw new Error(`Choose from: ${Object.keys(HOSTILE_KINDS).join(', ')}.`);
  const { spoil, invent, relabel, allCorrect = false, leavesAfter = Infinity } = behavior;
  let answers = 0;
  return {
    info: engine.info,
    async load(job) {
      const computer = await engine.load(job);
      const classes = job.targets[0]?.classes ?? 0;
      const changed = (shard: Shard): Shard =>
        relabel === undefined
          ? shard
          : {
              ...shard,
              targets: [Uint8Array.from(shard.targets[0] ?? [], (label) => relabel(label, classes, answers))],
            };
      const lying: GradientComputer = {
        ...computer,
        supportsFactors: false,
        async gradient(step: Step, shard: Shard, gradient: Float32Array): Promise<ShardResult> {
          const samples = shard.sampleNumbers.length;
          const invented = invent?.(gradient, answers) === true;
          const result = invented
            ? { lossSum: samples * 0.3, metrics: [Math.floor(samples * 0.9)] }
            : await computer.gradient(step, changed(shard), gradient);
          spoil?.(gradient, answers);
          if (++answers >= leavesAfter) setTimeout(leave, 50);
          return result;
        },
        async evaluate(shard: Shard): Promise<ShardResult> {
          const samples = shard.sampleNumbers.length;
          return allCorrect || invent !== undefined
            ? { lossSum: samples * 0.01, metrics: [samples] }
            : computer.evaluate(shard);
        },
      };
      if (invent !== undefined || relabel !== undefined) lying.prepare = () => undefined;
      return lying;
    },
  };
}
