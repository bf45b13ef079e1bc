// Script of the page of layers.long.test.ts and of the table of conformance. Plain JavaScript, as the types of tests are
// Node's.
import { openWebGl } from '../../worker-browser/engine/backends/webgl.ts';
import { openWebGpu } from '../../worker-browser/engine/backends/webgpu.ts';
import { tf } from '../../worker-browser/engine/backends/tf.ts';
import { measureCase } from '../support/conformance/measure-case.ts';

let opened;
const losses = [];

/** Opens an engine on a GPU backend. @returns what it is */
globalThis.openEngine = async (backend) => {
  opened = await (backend === 'webgl' ? openWebGl() : openWebGpu());
  opened.onLost((reason) => losses.push(reason));
  return opened.engine.info;
};

/** Computes a case. Gives a CaseResult, or `failed` with the error. */
globalThis.measure = async (each) => {
  try {
    const result = await measureCase(tf, opened.engine, each);
    return losses.length === 0 ? result : { failed: losses.splice(0).join('; ') };
  } catch (error) {
    return { failed: error.stack ?? String(error) };
  }
};

/**
 * Gives WebGPU a shader that does not compile, and computes a case.
 * @returns the answer of the case, and what the engine reports as its loss
 */
globalThis.breakShader = async (each) => {
  const reasons = [];
  opened.onLost((reason) => reasons.push(reason));
  tf.backend().device.createShaderModule({ code: 'not a shader' });
  const answer = await globalThis.measure(each);
  return { answer, reasons };
};
