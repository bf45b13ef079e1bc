import { describe } from 'vitest';
import { kerasRuns, stepLosses } from '../support/keras-runs.ts';
import { testRuns } from '../support/test-runs.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const STEPS = 4;
const reference = kerasRuns();
const runs = [...reference.kinds.filter(({ keras }) => keras === 3), ...reference.tasks];

describe(`the first ${STEPS} steps of models that people have are those of Keras`, () => {
  testRuns(runs, (run) => stepLosses(wasmEngine, reference, run, STEPS));
});
