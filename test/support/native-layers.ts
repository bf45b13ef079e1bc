import { expect, test } from 'vitest';
import type { Engine } from '../../shared/engine/engine.ts';
import { createModelStep } from '../../shared/engine/model-step.ts';
import type { Native } from '../../worker-node/engine/native/backend.ts';
import { createCapturedGradientComputer } from '../../worker-node/engine/native/captured-gradient-computer.ts';
import { registerNativeGradients } from '../../worker-node/engine/native/gradients.ts';
import { errorBounds, measureDeviation, type LayerCase } from './keras-layers.ts';

/** Layers for which tfjs-node reads values back during the computation, so that no graph can be captured. */
const NEVER_CAPTURED = new Set(['Embedding']);

/** Defines tests that compare native TensorFlow with Keras: first op by op, then as a captured graph. */
export function testLayersOnNative(native: Native, cases: readonly LayerCase[]): void {
  const { tf, backend } = native;
  registerNativeGradients(tf, backend);

  test.each(cases)(
    '$name: loss and gradient equal those of Keras, op by op and as a captured graph',
    async (each) => {
      const notes: string[] = [];
      const waiting: (() => void)[] = [];
      const idle = { schedule: (task: () => void) => void waiting.push(task), recordAnswer: () => undefined };
      const capture = { idle, note: (line: string) => void notes.push(line) };
      const engine: Engine = {
        info: { backend: 'tensorflow', version: '', device: '', threads: 1 },
        load: async (job) =>
          createCapturedGradientComputer(native, job, await createModelStep(tf, job), capture),
      };
      await tf.setBackend('tensorflow');
      const bounds = errorBounds(each);
      for (const repeats of [1, 2]) {
        const deviation = await measureDeviation(tf, engine, each, repeats, () => {
          for (const task of waiting.splice(0)) task();
        });
        expect(deviation.loss).toBeLessThan(bounds.loss);
        expect(deviation.gradient).toBeLessThan(bounds.gradient);
        expect(deviation.frozenAreZero).toBe(true);
      }
      if (!NEVER_CAPTURED.has(each.name)) expect(notes).toEqual([]);
    },
  );
}
