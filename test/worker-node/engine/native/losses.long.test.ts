import { expect, test } from 'vitest';
import { openCapturedEngine } from '../../../support/captured-engine.ts';
import { gradientCases, measureLossGradient } from '../../../support/keras-losses.ts';
import { withNative } from '../../../support/native.ts';

await withNative((native) => {
  test.each(gradientCases())(
    'the loss %s behind %s, %s weights: the gradient is that of Keras, op by op and as a captured graph',
    async (_, __, ___, each) => {
      const { engine, notes, capture } = openCapturedEngine(native);
      for (const repeats of [1, 2]) {
        const open = () => Promise.resolve(engine);
        const { loss, gradient } = await measureLossGradient(open, each, repeats, capture);
        expect(loss).toBeLessThan(1e-5);
        expect(gradient).toBeLessThan(1e-4);
      }
      expect(notes).toEqual([]);
    },
  );
});
