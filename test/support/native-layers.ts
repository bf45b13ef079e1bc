import { expect, test } from 'vitest';
import type { Native } from '../../worker-node/engine/native/backend.ts';
import { openCapturedEngine } from './captured-engine.ts';
import { errorBounds, measureDeviation, type LayerCase } from './keras-layers.ts';

/** Layers for which tfjs-node reads values back during the computation, so that no graph can be captured. */
const NEVER_CAPTURED = new Set(['Embedding']);

/** Defines tests that compare native TensorFlow with Keras: first op by op, then as a captured graph. */
export function testLayersOnNative(native: Native, cases: readonly LayerCase[]): void {
  const { tf } = native;

  test.each(cases)(
    '$name: loss and gradient equal those of Keras, op by op and as a captured graph',
    async (each) => {
      const { engine, notes, capture } = openCapturedEngine(native);
      await tf.setBackend('tensorflow');
      const bounds = errorBounds(each);
      for (const repeats of [1, 2]) {
        const deviation = await measureDeviation(tf, engine, each, repeats, capture);
        expect(deviation.loss).toBeLessThan(bounds.loss);
        expect(deviation.gradient).toBeLessThan(bounds.gradient);
        expect(deviation.frozenAreZero).toBe(true);
      }
      if (!NEVER_CAPTURED.has(each.name)) expect(notes).toEqual([]);
    },
  );
}
