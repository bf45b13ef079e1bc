import type { OpenCoordinatorEngine } from '../../coordinator/integrity/reference-engine.ts';
import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import { withMicroShards } from '../../shared/engine/micro-shards.ts';
import { layoutOf } from '../../shared/model/layout.ts';

/** How a cheap engine computes; may be changed while it works. */
export interface StubSettings {
  perSampleMs: number;
  /** What it makes of the values of a true gradient. */
  tamper: (value: number) => number;
  /** While it hangs: what it computes is answered when this is settled. */
  hang?: Promise<unknown>;
}

/** For a coordinator that recomputes with an honest engine of that kind. */
export const openStubEngine: OpenCoordinatorEngine = () =>
  Promise.resolve({
    engine: stubEngine({ perSampleMs: 0, tamper: (value) => value }),
    close: () => Promise.resolve(),
  });

/** The first value of the gradient of some samples: an integer, so that sums are exact in any order. */
function firstValue(step: number, sampleNumbers: Iterable<number>): number {
  let sum = 0;
  for (const number of sampleNumbers) sum += (((number + 1) * (3 * step + 5)) % 41) - 15;
  return sum;
}

/** The value at one position of that gradient. */
export const stubGradient = (step: number, sampleNumbers: Iterable<number>, position: number): number =>
  firstValue(step, sampleNumbers) * (1 + (position % 5));

/** An engine that computes next to nothing, and takes as long for it as it is told. */
export function stubEngine(settings: StubSettings, device = 'cheap'): Engine {
  return {
    info: { backend: 'cheap', version: '1', device, threads: 1 },
    load: (job) => {
      const { length } = layoutOf(job.layout);
      const take = async (samples: number): Promise<void> => {
        await new Promise((resolve) => setTimeout(resolve, settings.perSampleMs * samples));
        await settings.hang;
      };
      const trainer: GradientComputer = {
        setWeights: () => undefined,
        prepare: () => undefined,
        dispose: () => undefined,
        predict: () => Promise.reject(new Error('Nothing to predict.')),
        async gradient(step, { sampleNumbers }, gradient) {
          const [first, samples] = [settings.tamper(firstValue(step, sampleNumbers)), sampleNumbers.length];
          await take(samples);
          for (let i = 0; i < length; i++) gradient[i] = first * (1 + (i % 5));
          return { lossSum: samples, correct: 0 };
        },
        async evaluate({ sampleNumbers }) {
          await take(sampleNumbers.length);
          return { lossSum: sampleNumbers.length, correct: 0 };
        },
      };
      return Promise.resolve(withMicroShards(trainer, job));
    },
  };
}
