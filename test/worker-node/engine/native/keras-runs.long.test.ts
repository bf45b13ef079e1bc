import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../../../shared/engine/engine.ts';
import { openNativeEngine } from '../../../../worker-node/engine/native/open-native.ts';
import { kerasRuns, stepLosses } from '../../../support/keras-runs.ts';
import { testRuns } from '../../../support/test-runs.ts';
import { withNative } from '../../../support/native.ts';

const reference = kerasRuns();

await withNative(() => {
  const waiting: (() => void)[] = [];
  const idle = { schedule: (task: () => void) => void waiting.push(task), recordAnswer: () => undefined };
  // Graphs are captured after the first step, so that most steps are computed by them.
  const capture = (): void => waiting.splice(0).forEach((task) => task());
  const opened = openNativeEngine({ idle });
  const openEngine = async (): Promise<Engine> => {
    await tf.setBackend('tensorflow');
    const native = await opened;
    if ('missing' in native) throw new Error(native.missing);
    return native.engine;
  };
  testRuns([...reference.kinds, ...reference.tasks], (run) =>
    stepLosses(openEngine, reference, run, undefined, capture),
  );
});
