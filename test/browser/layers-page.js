// Script of the page of layers.long.test.ts. Plain JavaScript, as the types of tests are Node's.
import { openWebGl } from '../../worker-browser/engine/backends/webgl.ts';
import { openWebGpu } from '../../worker-browser/engine/backends/webgpu.ts';
import { tf } from '../../worker-browser/engine/backends/tf.ts';
import { measureDeviation } from '../support/keras-layers.ts';

/** Computes cases on a GPU backend. Gives a Deviation for each, or `failed` with the error. */
globalThis.deviations = async (backend, cases) => {
  const { engine } = await (backend === 'webgl' ? openWebGl() : openWebGpu());
  const results = [];
  for (const layerCase of cases) {
    try {
      results.push(await measureDeviation(tf, engine, layerCase));
    } catch (error) {
      results.push({ failed: error.stack ?? String(error) });
    }
  }
  return results;
};
