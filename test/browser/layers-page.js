// What runs in the page of layers.long.test.ts; plain JavaScript, as the types of tests are Node's.
import { openWebGl } from '../../worker-browser/engine/backends/webgl.ts';
import { openWebGpu } from '../../worker-browser/engine/backends/webgpu.ts';
import { tf } from '../../worker-browser/engine/backends/tf.ts';
import { deviationOf } from '../support/keras-layers.ts';

/** Computes cases on a GPU backend: a Deviation each, or `failed` with what was thrown. */
globalThis.deviations = async (backend, cases) => {
  const { engine } = await (backend === 'webgl' ? openWebGl() : openWebGpu());
  const found = [];
  for (const each of cases) {
    try {
      found.push(await deviationOf(tf, engine, each));
    } catch (error) {
      found.push({ failed: error.stack ?? String(error) });
    }
  }
  return found;
};
