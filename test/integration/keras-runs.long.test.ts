import { describe } from 'vitest';
import { kerasRuns, stepLosses } from '../support/keras-runs.ts';
import { testRuns } from '../support/test-runs.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const reference = kerasRuns();

describe('the first 20 steps of models that people have are those of Keras', () => {
  testRuns([...reference.kinds, ...reference.tasks], (run) => stepLosses(wasmEngine, reference, run));
});
