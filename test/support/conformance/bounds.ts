/** Largest relative difference of a loss or an output from that of Keras. */
export const LOSS_BOUND = 1e-5;
/** Largest difference of a gradient from that of Keras, relative to its norm. */
const GRADIENT_BOUND = 1e-4;

/**
 * Largest difference of a case's gradient. Where float32 sums cancel, Keras' own float32 gradient differs by more from the one in
 * float64, with which all are compared.
 */
export const gradientBound = ({ kerasError = 0 }: { readonly kerasError?: number | undefined }): number =>
  Math.max(GRADIENT_BOUND, kerasError);
