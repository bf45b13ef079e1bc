import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import { withMicroShards } from '../../shared/engine/micro-shards.ts';
import { layoutOf } from '../../shared/model/layout.ts';

export interface RoundingSettings {
  /** Time per sample; 0 by default, which answers at once. */
  readonly perSampleMs?: number;
  /** Number of the engine's build. Different builds compute different bits. */
  readonly build?: number;
}

/**
 * A cheap engine that rounds like a real one: the bits of its gradients depend on the weights, the samples and the
 * partition into shards.
 */
export function roundingEngine({ perSampleMs = 0, build = 0 }: RoundingSettings = {}): Engine {
  return {
    info: { backend: 'rounding', version: '1', device: `build ${build}`, threads: 1 },
    load: (job) => {
      const { length } = layoutOf(job.layout);
      let weights: Float32Array = new Float32Array(length);
      const take = async (samples: number): Promise<void> => {
        if (perSampleMs > 0) await new Promise((resolve) => setTimeout(resolve, perSampleMs * samples));
      };
      const pullOf = (step: number, numbers: Uint32Array): number =>
        numbers.reduce((sum, number) => sum + 1 / (3 + ((number + step + build) % 97)), 0);
      const computer: GradientComputer = {
        setWeights: (values) => void (weights = values.slice()),
        prepare: () => undefined,
        dispose: () => undefined,
        predict: () => Promise.reject(new Error('This engine does not predict.')),
        async gradient(step, { sampleNumbers }, gradient) {
          const pull = pullOf(step, sampleNumbers);
          const samples = sampleNumbers.length;
          await take(samples);
          for (let i = 0; i < length; i++) {
            gradient[i] = (weights[i] ?? 0) * samples * 0.37 - pull * (((i % 13) - 6) / 7);
          }
          return { lossSum: pull + Math.abs(weights[0] ?? 0) * samples, metrics: [samples >> 1] };
        },
        async evaluate({ sampleNumbers }) {
          await take(sampleNumbers.length);
          return { lossSum: pullOf(0, sampleNumbers) + Math.abs(weights[1] ?? 0), metrics: [1] };
        },
      };
      return Promise.resolve(withMicroShards(computer, job));
    },
  };
}
