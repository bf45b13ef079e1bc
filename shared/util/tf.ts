import type * as tfjs from '@tensorflow/tfjs';

/** TensorFlow.js as a parameter, so that the same code runs on every backend. */
export type TF = typeof tfjs;
