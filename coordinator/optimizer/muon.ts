import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { Layout, Slice } from '../../shared/model/layout.ts';
import { adamRate } from './adam.ts';
import type { CommonOptions } from './common-options.ts';
import { residentMatrices } from './kernels/vector.ts';
import { complement, f32, type UpdateRule } from './update-rule.ts';

/** Options of Muon. Tensors that are not matrices are updated by Adam, and embeddings too. */
export interface MuonOptions extends CommonOptions {
  readonly name: 'muon';
  /** Part of the mean gradient that each update of a matrix keeps. @default 0.95 */
  readonly momentum?: number;
  /** Whether the momentum looks ahead, after Nesterov. @default true */
  readonly nesterov?: boolean;
  /** Iterations of Newton and Schulz. @default 5 */
  readonly iterations?: number;
  /** Coefficients of their polynomial. @default [3.4445, -4.775, 2.0315] */
  readonly coefficients?: readonly [number, number, number];
  /** Root mean square of an update of learning rate 1; null leaves its scale as it is. @default 0.2 */
  readonly rmsRate?: number | null;
  /** Adam's beta1, for other tensors. @default 0.9 */
  readonly beta1?: number;
  /** Adam's beta2, for other tensors. @default 0.999 */
  readonly beta2?: number;
  /** Adam's epsilon, for other tensors. @default 1e-7 */
  readonly epsilon?: number;
  /** Factor of the learning rate of the tensors that Adam updates. @default 1 */
  readonly adamRateFactor?: number;
  /** Weight decay of the tensors that Adam updates; null for none. @default 0.004 */
  readonly adamWeightDecay?: number | null;
  /** Parts of names: a matrix whose name contains one is updated by Adam. @default ['embedding'] */
  readonly exclude?: readonly string[];
}

/** Keras' defaults. */
export const muonDefaults = {
  learningRate: 0.001,
  momentum: 0.95,
  nesterov: true,
  iterations: 5,
  coefficients: [3.4445, -4.775, 2.0315] as [number, number, number],
  rmsRate: 0.2,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-7,
  adamRateFactor: 1,
  adamWeightDecay: 0.004,
  weightDecay: 0.004,
};

/**
 * Muon (keras 3 optimizers/muon.py), after Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with
 * the scale of Liu et al., "Muon is scalable for LLM training" (arXiv:2502.16982). A matrix of r rows and c columns:
 *
 *     m = m + g + m (momentum - 1)
 *     x = g + momentum m with Nesterov's, else m;  x = x / (|x| + 1e-7)
 *     iterations times: a = x x';  x = k0 x + (k1 a + k2 a a) x
 *     w = w - learningRate x sqrt(max(r, c)) rmsRate
 *
 * x is transposed if it has more rows than columns. All other tensors are updated by Adam.
 */
export function muon(settings: SettingsOf<'muon'>, { slices }: Layout): UpdateRule {
  const { momentum, nesterov, rmsRate, adamTensors, beta1, beta2, epsilon } = settings;
  const isMatrix = ({ shape }: Slice, tensor: number): boolean =>
    shape.length === 2 && !adamTensors.includes(tensor);
  const matrices = slices.filter((slice, tensor) => slice.trainable && isMatrix(slice, tensor));
  const orthogonalize = newtonSchulz(settings, matrices);
  return {
    state: { momentum: 0, velocity: 0 },
    update(step) {
      const { kernels, weights, gradientSum, samples, state, learningRate, iteration, tensor } = step;
      const [momenta, velocities] = state as [Float32Array, Float32Array];
      const slice = slices[tensor ?? -1];
      if (slice === undefined) throw new RangeError('Muon updates one whole tensor at a time.');
      if (!isMatrix(slice, tensor ?? -1)) {
        const rate = adamRate(f32(learningRate * f32(settings.adamRateFactor)), beta1, beta2, iteration);
        const vectors = { changed: [weights, momenta, velocities], read: [gradientSum] };
        kernels.run('adam', vectors, [samples, rate, complement(beta1), complement(beta2), epsilon]);
        return;
      }
      const x = orthogonalize.input(slice);
      const scalars = [samples, momentum - 1, momentum, Number(nesterov)];
      kernels.run('muonMomentum', { changed: [x, momenta], read: [gradientSum] }, scalars);
      orthogonalize.run(slice);
      const scale = rmsRate === null ? [1, 1] : [Math.sqrt(Math.max(...slice.shape)), rmsRate];
      kernels.run('subtractScaled', { changed: [weights], read: [x] }, [learningRate, ...scale]);
    },
    weightDecayOf: (slice, tensor) =>
      isMatrix(slice, tensor) ? settings.weightDecay : settings.adamWeightDecay,
  };
}

interface Orthogonalizer {
  /** Vector of the matrix, row-major, without padding. */
  readonly input: (slice: Slice) => Float32Array;
  /** Makes the matrix in `input` nearly orthogonal, in place. */
  readonly run: (slice: Slice) => void;
}

const padded = (count: number): number => (count + 3) & ~3;

/** Newton's and Schulz' iteration, in one memory for the largest of the matrices. Rows are padded with zeros, which products keep. */
function newtonSchulz(
  { iterations, coefficients: [k0, k1, k2] }: SettingsOf<'muon'>,
  matrices: readonly Slice[],
): Orthogonalizer {
  const sides = matrices.map(({ shape: [rows = 1, columns = 1] }) => ({
    short: Math.min(rows, columns),
    long: Math.max(rows, columns),
  }));
  const largest = (values: (side: { short: number; long: number }) => number): number =>
    Math.max(0, ...sides.map(values));
  const wideLength = largest(({ short, long }) => short * padded(long));
  const squareLength = largest(({ short }) => short * padded(short));
  const { kernels, vectors } = residentMatrices([
    largest(({ short, long }) => short * long),
    wideLength,
    wideLength,
    largest(({ short, long }) => long * padded(short)),
    squareLength,
    squareLength,
    squareLength,
  ]);
  const vector = (i: number): Float32Array => vectors[i] as Float32Array;
  const [flat, transposed] = [vector(0), vector(3)];
  const [gram, scaled, polynomial] = [vector(4), vector(5), vector(6)];
  return {
    input: ({ size }) => flat.subarray(0, size),
    run({ shape: [rows = 1, columns = 1], size }) {
      const input = flat.subarray(0, size);
      const norm = f32(f32(Math.sqrt(f32(kernels.sumSquares(input)))) + f32(1e-7));
      const [short, long] = [Math.min(rows, columns), Math.max(rows, columns)];
      const [shortStride, longStride] = [padded(short), padded(long)];
      /** Strides of the row and column of x in the input, which is transposed if it has more rows than columns. */
      const [rowStride, columnStride] = rows > columns ? [1, columns] : [columns, 1];
      let [x, next] = [vector(1), vector(2)];
      // The padding of another matrix lies elsewhere.
      for (const matrix of [x, next, transposed]) matrix.fill(0);
      for (let row = 0; row < short; row++) {
        for (let column = 0; column < long; column++) {
          const value = input[row * rowStride + column * columnStride] as number;
          x[row * longStride + column] = value / norm;
        }
      }
      const squares = { rows: short, columns: shortStride };
      for (let i = 0; i < iterations; i++) {
        for (let row = 0; row < short; row++) {
          for (let column = 0; column < long; column++)
            transposed[column * shortStride + row] = x[row * longStride + column] as number;
        }
        // a = x x'
        kernels.multiply({
          ...squares,
          product: gram,
          left: x,
          right: transposed,
          inner: long,
          leftStride: longStride,
        });
        // (k2 a) a + k1 a
        scaled.set(gram);
        kernels.run('scale', { changed: [scaled.subarray(0, short * shortStride)] }, [k2, 1]);
        kernels.multiply({
          ...squares,
          product: polynomial,
          left: scaled,
          right: gram,
          addend: gram,
          factor: k1,
          inner: short,
          leftStride: shortStride,
        });
        // The polynomial of a, times x, + k0 x
        kernels.multiply({
          product: next,
          left: polynomial,
          right: x,
          addend: x,
          factor: k0,
          rows: short,
          inner: short,
          columns: longStride,
          leftStride: shortStride,
        });
        [x, next] = [next, x];
      }
      for (let row = 0; row < short; row++) {
        for (let column = 0; column < long; column++)
          input[row * rowStride + column * columnStride] = x[row * longStride + column] as number;
      }
    },
  };
}
