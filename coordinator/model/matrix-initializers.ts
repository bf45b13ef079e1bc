import type * as tfjs from '@tensorflow/tfjs';
import { Purpose, randomStream } from '../../shared/random/stream.ts';

/**
 * Orthonormal columns from a matrix of normally distributed numbers, as in Keras' Orthogonal (Saxe et al.,
 * arXiv:1312.6120). Each column is projected twice in double precision, so that rounding errors do not show in float32.
 * @param rows at least `columns`
 * @returns one array for each column
 */
export function orthonormalColumns(rows: number, columns: number, seed: number): Float64Array[] {
  const stream = randomStream(seed, Purpose.initialWeights);
  const finished: Float64Array[] = [];
  for (let c = 0; c < columns; c++) {
    const column = Float64Array.from({ length: rows }, () => stream.normal());
    for (const other of [...finished, ...finished]) {
      let product = 0;
      for (let r = 0; r < rows; r++) product += (column[r] as number) * (other[r] as number);
      for (let r = 0; r < rows; r++) column[r] = (column[r] as number) - product * (other[r] as number);
    }
    const length = Math.hypot(...column);
    finished.push(column.map((value) => value / length));
  }
  return finished;
}

/**
 * Replaces tfjs' Orthogonal initializer, whose QR decomposition takes a minute for an LSTM of 128 units, and registers
 * IdentityMatrix in place of tfjs' Identity, whose name is also that of a layer. May be called repeatedly.
 */
export function registerMatrixInitializers(tf: typeof tfjs): void {
  class Orthogonal extends tf.serialization.Serializable {
    static readonly className = 'Orthogonal';
    readonly #gain: number;
    readonly #seed: number;

    constructor(config: { readonly gain?: number; readonly seed?: number | null }) {
      super();
      this.#gain = config.gain ?? 1;
      this.#seed = config.seed ?? 0;
    }

    /** @param shape shape of the tensor: the last axis gives the columns of a matrix, the other axes its rows */
    apply(shape: number[]): tfjs.Tensor {
      const columns = shape.at(-1) ?? 1;
      const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      const orthonormal = orthonormalColumns(Math.max(rows, columns), Math.min(rows, columns), this.#seed);
      const values = new Float32Array(rows * columns);
      orthonormal.forEach((column, c) =>
        column.forEach(
          (value, r) => (values[rows < columns ? c * columns + r : r * columns + c] = value * this.#gain),
        ),
      );
      return tf.tensor(values, shape);
    }

    getConfig(): tfjs.serialization.ConfigDict {
      return { gain: this.#gain, seed: this.#seed };
    }
  }
  /** Ones on the diagonal of a matrix, which need not be square, times `gain`. */
  class IdentityMatrix extends tf.serialization.Serializable {
    static readonly className = 'IdentityMatrix';
    readonly #gain: number;

    constructor(config: { readonly gain?: number }) {
      super();
      this.#gain = config.gain ?? 1;
    }

    apply(shape: number[]): tfjs.Tensor {
      const [rows = 0, columns = 0, ...others] = shape;
      if (columns === 0 || others.length > 0)
        throw new Error(`The initializer Identity fills matrices, not a tensor of [${shape.join(', ')}].`);
      return tf.tidy(() => tf.mul(tf.eye(rows, columns), this.#gain));
    }

    getConfig(): tfjs.serialization.ConfigDict {
      return { gain: this.#gain };
    }
  }
  tf.serialization.registerClass(Orthogonal);
  tf.serialization.registerClass(IdentityMatrix);
}
