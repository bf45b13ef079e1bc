import type { Engine } from '../../shared/engine/engine.ts';

/** Engine that computes nothing and answers every shard with the same gradient for each of its samples. */
export const nullEngine: Engine = {
  info: { backend: 'null', version: '1', device: 'none', threads: 1 },
  load: () =>
    Promise.resolve({
      setWeights: () => undefined,
      gradient(_step, { sampleNumbers: { length: samples } }, gradient) {
        const value = Math.fround(1e-3 * samples);
        if (gradient[0] !== value) gradient.fill(value);
        return Promise.resolve({ lossSum: samples, metrics: [0] });
      },
      prepare: () => undefined,
      evaluate: ({ sampleNumbers: { length: samples } }) =>
        Promise.resolve({ lossSum: samples, metrics: [0] }),
      predict: () => Promise.resolve(new Float32Array(0)),
      dispose: () => undefined,
    }),
};
