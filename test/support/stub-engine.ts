import type { OpenCoordinatorEngine } from '../../coordinator/integrity/reference-engine.ts';
import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import { withMicroShards } from '../../shared/engine/micro-shards.ts';
import { layoutOf } from '../../shared/model/layout.ts';

/** Settings of a stub engine. A test may change them while the engine computes. */
export interface StubSettings {
  perSampleMs: number;
  /** Changes each value of the true gradient. */
  tamper: (value: number) => number;
  /** Promise that every answer waits for. */
  hang?: Promise<unknown>;
}

/** Opens an honest stub engine with which a coordinator recomputes answers. */
export const openStubEngine: OpenCoordinatorEngine = () =>
  Promise.resolve({
    engine: stubEngine({ perSampleMs: 0, tamper: (value) => value }),
    close: () => Promise.resolve(),
  });

/** First value of the gradient of these samples: an integer, so that sums are exact in any order. */
function firstValue(step: number, sampleNumbers: Iterable<number>): number {
  let sum = 0;
  for (const number of sampleNumbers) sum += (((number + 1) * (3 * step + 5)) % 41) - 15;
  return sum;
}

/** Value of that gradient at a position. */
export const stubGradient = (step: number, sampleNumbers: Iterable<number>, position: number): number =>
  firstValue(step, sampleNumbers) * (1 + (position % 5));

/** An engine that computes almost nothing and takes the configured time. */
export function stubEngine(settings: StubSettings, device = 'cheap'): Engine {
  return {
    info: { backend: 'cheap', version: '1', device, threads: 1 },
    load: (job) => {
      const { length } = layoutOf(job.layout);
      const delay = async (samples: number): Promise<void> => {
        await new Promise((resolve) => setTimeout(resolve, settings.perSampleMs * samples));
        await settings.hang;
      };
      const computer: GradientComputer = {
        setWeights: () => undefined,
        prepare: () => undefined,
        dispose: () => undefined,
        predict: () => Promise.reject(new Error('This engine does not predict.')),
        async gradient(step, { sampleNumbers }, gradient) {
          const first = settings.tamper(firstValue(step, sampleNumbers));
          const samples = sampleNumbers.length;
          await delay(samples);
          for (let i = 0; i < length; i++) gradient[i] = first * (1 + (i % 5));
          return { lossSum: samples, metrics: [0] };
        },
        async evaluate({ sampleNumbers }) {
          await delay(sampleNumbers.length);
          return { lossSum: sampleNumbers.length, metrics: [0] };
        },
      };
      return Promise.resolve(withMicroShards(computer, job));
    },
  };
}
