import { afterAll, describe, expect, test } from 'vitest';
import { describeUnusedSettings } from '../../../coordinator/model-file/keras-file.ts';
import { readModelFile } from '../../../coordinator/model-file/model-file.ts';
import { optimizerFromKeras } from '../../../coordinator/optimizer/keras-config.ts';
import { kerasFolder } from '../../support/keras-files.ts';

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
      expect(describeUnusedSettings(compileConfig, false)).toMatch(
        /^Of the model's compile settings, the run does not use the optimizer Adam\. It .*; --optimizer chooses an optimizer\.$/i,
      );
      expect(describeUnusedSettings(compileConfig, true)).toBeNull();
    },
  );

  test('are named if the run does not use them', () => {
    const loss = { class_name: 'MeanSquaredError', config: {} };
    const metrics = [
      'accuracy',
      { class_name: 'AUC', config: {} },
      { class_name: 'function', config: 'my_\nmetric' },
    ];
    expect(describeUnusedSettings({ optimizer: 'rmsprop', loss, metrics }, false)).toMatch(
      'the optimizer rmsprop and the loss MeanSquaredError and the metrics AUC, my_ metric.',
    );
    expect(describeUnusedSettings({ optimizer: null, loss: null, metrics: null }, false)).toBeNull();
    expect(describeUnusedSettings(null, false)).toBeNull();
  });
});
