import { afterAll, describe, expect, test } from 'vitest';
import { describeUnusedSettings } from '../../../coordinator/model-file/keras-file.ts';
import { readModelFile } from '../../../coordinator/model-file/model-file.ts';
import { optimizerFromKeras } from '../../../coordinator/optimizer/keras-config.ts';
import { classOutput } from '../../../shared/model/stored-job.ts';
import { kerasFolder } from '../../support/keras-files.ts';

/** Output of a run with one loss and one metric. */
const binaryOutput = (loss: 'binary_crossentropy', metric: string) => ({
  name: 'out',
  shape: [1],
  loss: { name: loss },
  metrics: [{ name: metric }],
});
const outputs = [classOutput('out', 10)];
const folder = await kerasFolder();
afterAll(() => folder.remove());

describe('the compile settings of a model', () => {
  test.each(['sequential-2.h5', 'sequential-3.h5', 'sequential-2.keras', 'sequential-3.keras'])(
    'are read from %s, with an optimizer that gradcast has',
    async (name) => {
      const { compileConfig } = await readModelFile(await folder.unpack(name));
      if (name === 'sequential-2.keras') expect(compileConfig?.optimizer).toBe('adam');
      else expect(optimizerFromKeras(compileConfig?.optimizer)).toMatchObject({ name: 'adam' });
      expect(compileConfig?.loss).toBe('categorical_crossentropy');
      expect(JSON.stringify(compileConfig?.metrics)).toContain('accuracy');
      expect(describeUnusedSettings(compileConfig, {}, outputs)).toMatch(
        /^Of the model's compile settings, the run does not use the optimizer Adam\. It .*; --optimizer, --loss and --metrics choose others\.$/i,
      );
      expect(describeUnusedSettings(compileConfig, { optimizer: { name: 'sgd' } }, outputs)).toBeNull();
    },
  );

  test('are named if the run does not use them', () => {
    const loss = { class_name: 'MeanSquaredError', config: {} };
    const metrics = [
      'accuracy',
      { class_name: 'AUC', config: {} },
      { class_name: 'function', config: 'my_\nmetric' },
    ];
    expect(describeUnusedSettings({ optimizer: 'rmsprop', loss, metrics }, {}, outputs)).toMatch(
      'the optimizer rmsprop and the loss MeanSquaredError and the metrics AUC, my_ metric.',
    );
    expect(describeUnusedSettings({ optimizer: null, loss: null, metrics: null }, {}, outputs)).toBeNull();
    const chosen = { loss: 'mse', metrics: ['auc'] };
    expect(describeUnusedSettings({ optimizer: null, loss, metrics }, chosen, outputs)).toBeNull();
    const binary = [binaryOutput('binary_crossentropy', 'binary_accuracy')];
    const compiled = { optimizer: null, loss: 'BinaryCrossentropy', metrics: ['acc', 'BinaryAccuracy'] };
    expect(describeUnusedSettings(compiled, {}, binary)).toBeNull();
    expect(describeUnusedSettings(compiled, {}, outputs)).toContain(
      'the loss BinaryCrossentropy and the metrics BinaryAccuracy. It minimizes categorical_crossentropy;',
    );
    expect(describeUnusedSettings(null, {}, outputs)).toBeNull();
  });
});
