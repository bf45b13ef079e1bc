import * as tf from '@tensorflow/tfjs';

/**
 * Does work with TensorFlow.js in plain JavaScript, such as building a model for its initial weights. The backend is that of the
 * whole process, so an engine of the program's own gets its backend back.
 */
export async function withCpuBackend<Result>(work: () => Promise<Result>): Promise<Result> {
  // Suppresses tfjs' advice against its CPU backend.
  tf.enableProdMode();
  // Contrary to its type, there is none at first.
  const earlier = tf.getBackend() as string | undefined;
  await tf.setBackend('cpu');
  try {
    return await work();
  } finally {
    if (earlier !== undefined) await tf.setBackend(earlier);
  }
}
