import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readSamples } from '../../../../shared/data/dataset.ts';
import { layoutOf } from '../../../../shared/model/layout.ts';
import type { Step } from '../../../../shared/protocol/messages.ts';
import { openNativeEngine } from '../../../../worker-node/engine/native/open-native.ts';
import { exampleJob, threeInputs } from '../../../support/custom-code.ts';
import { hashedTensor } from '../../../support/hashed-values.ts';
import { describeNative } from '../../../support/native.ts';

const reference = JSON.parse(
  readFileSync(new URL('../../../reference/keras-custom.json', import.meta.url), 'utf8'),
) as { readonly lossSum: number; readonly metricSum: number; readonly gradient: readonly number[] };

describeNative(() => {
  test('custom code has the values of Keras, also in steps in which other models would be captured', async () => {
    const opened = await openNativeEngine();
    if ('missing' in opened) return expect.fail(opened.missing);
    const { job, custom } = await exampleJob();
    const computer = await opened.engine.load(job, custom.module);
    const { slices, length } = layoutOf(job.layout);
    const weights = new Float32Array(length);
    slices.forEach((slice, t) => weights.set(hashedTensor(t, 'any', slice), slice.offset));
    computer.setWeights(weights);
    const numbers = Uint32Array.from({ length: 7 }, (_, i) => i);
    const shard = await readSamples(threeInputs.test, numbers);
    for (let step = 0; step < 3; step++) {
      const gradient = new Float32Array(length);
      const result = await computer.gradient(step as Step, shard, gradient);
      expect(result.lossSum).toBeCloseTo(reference.lossSum, 4);
      expect(result.metrics[0]).toBeCloseTo(reference.metricSum, 5);
      gradient.forEach((value, i) => expect(value, `element ${i}`).toBeCloseTo(reference.gradient[i]!, 4));
      expect((await computer.evaluate(shard)).metrics).toEqual(result.metrics);
    }
    computer.dispose();
  });
});
