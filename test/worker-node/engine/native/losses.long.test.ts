import { expect, test } from 'vitest';
import { createModelStep } from '../../../../shared/engine/model-step.ts';
import { createCapturedGradientComputer } from '../../../../worker-node/engine/native/captured-gradient-computer.ts';
import { registerNativeGradients } from '../../../../worker-node/engine/native/gradients.ts';
import { gradientCases, measureLossGradient } from '../../../support/keras-losses.ts';
import { withNative } from '../../../support/native.ts';

await withNative((native) => {
  const { tf, backend } = native;
  registerNativeGradients(tf, backend);

  test.each(gradientCases())(
    'the loss %s behind %s, %s weights: the gradient is that of Keras, op by op and as a captured graph',
    async (_, __, ___, each) => {
      const notes: string[] = [];
      const waiting: (() => void)[] = [];
      const idle = { schedule: (task: () => void) => void waiting.push(task), recordAnswer: () => undefined };
      const capture = { idle, note: (line: string) => void notes.push(line) };
      const info = { backend: 'tensorflow', version: '', device: '', threads: 1 };
      for (const repeats of [1, 2]) {
        const engine = {
          info,
          load: async (job: Parameters<typeof createModelStep>[1]) => {
            await tf.setBackend('tensorflow');
            return createCapturedGradientComputer(native, job, await createModelStep(tf, job), capture);
          },
        };
        const { loss, gradient } = await measureLossGradient(
          () => Promise.resolve(engine),
          each,
          repeats,
          () => {
            for (const task of waiting.splice(0)) task();
          },
        );
        expect(loss).toBeLessThan(1e-4);
        expect(gradient).toBeLessThan(1e-4);
      }
      expect(notes).toEqual([]);
    },
  );
});
