import * as tf from '@tensorflow/tfjs';

/** Number of works in progress, and the backend before the first of them: there may be none yet. */
const state: { works: number; earlier: string | undefined } = { works: 0, earlier: undefined };

/**
 * Does work with TensorFlow.js in plain JavaScript, such as building a model for its initial weights. The backend is that of the
 * whole process, so an engine of the program's own gets its backend back after the last of several works.
 */
export async function withCpuBackend<Result>(work: () => Promise<Result>): Promise<Result> {
  // Suppresses tfjs' advice against its CPU backend.
  tf.enableProdMode();
  if (state.works === 0) state.earlier = tf.getBackend();
  state.works++;
  try {
    await tf.setBackend('cpu');
    return await work();
  } finally {
    state.works--;
    if (state.works === 0 && state.earlier !== undefined) await tf.setBackend(state.earlier);
  }
}
