/** Largest relative difference of a loss or an output from that of Keras. */
export const LOSS_BOUND = 1e-5;
/** Largest difference of a gradient from that of Keras, relative to its norm. */
export const GRADIENT_BOUND = 1e-4;

/**
 * Bound of a case's gradient for tests. Where float32 sums cancel, it is a few times the error of Keras' own float32 gradient, since
 * the reference is computed in float64.
 */
export const gradientBound = ({ kerasError = 0 }: { readonly kerasError?: number | undefined }): number =>
  Math.max(GRADIENT_BOUND, 3 * kerasError);
