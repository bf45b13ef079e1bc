import type { Engine } from '../../shared/engine/engine.ts';

/** Engine that computes nothing and answers every shard with the same prepared gradient. */
export const nullEngine: Engine = {
  info: { backend: 'null', version: '1', device: 'none', threads: 1 },
  load: () =>
    Promise.resolve({
      setWeights: () => undefined,
      gradient(_step, _shard, gradient) {
        if (gradient[0] !== 1e-3) gradient.fill(1e-3);
        return Promise.resolve({ lossSum: 1, metrics: [0] });
      },
      prepare: () => undefined,
      evaluate: () => Promise.resolve({ lossSum: 1, metrics: [0] }),
      predict: () => Promise.resolve(new Float32Array(0)),
      dispose: () => undefined,
    }),
};
