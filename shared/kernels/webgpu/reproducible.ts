import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { kernelFunc } from './backend.ts';
import type { Run } from './kernel-run.ts';
import { multiply } from './product.ts';

// Some kernels of tfjs' WebGPU backend (4.22) add with atomic operations, in an order that differs from run to run: sums over segments,
// which the gradient of an embedding is, and products of matrices with long sums. An exact run needs the same bits each time.

/** Flag of tfjs that chooses the shader for products of matrices: -1 by their sizes. */
const PRODUCT_SHADER = 'WEBGPU_MATMUL_PROGRAM_TYPE';
const BY_SIZE = -1;
/** tfjs' MatMulPackedProgram, which adds in a fixed order. */
const PACKED = 3;

/** Sets whether the backend computes the same bits each time, which is slower. */
export const setReproducible = (tf: TF, isReproducible: boolean): void =>
  tf.env().set(PRODUCT_SHADER, isReproducible ? PACKED : BY_SIZE);

const isReproducible = (tf: TF): boolean => tf.env().getNumber(PRODUCT_SHADER) === PACKED;

interface Inputs {
  readonly x: TensorInfo;
  readonly segmentIds: TensorInfo;
}

/**
 * Sums over segments: of x [values, ...] and segmentIds [values] to [numSegments, ...]. Where the same bits are needed, it is a product
 * with a matrix of zeros and ones that is not stored.
 * @param stock kernel of tfjs
 */
export const segmentSum = (tf: TF, stock: Run, cast: Run): KernelFunc =>
  kernelFunc<Inputs, { readonly numSegments: number }>((call) => {
    const { inputs, attrs, backend } = call;
    const { x, segmentIds } = inputs;
    if (!isReproducible(tf) || x.dtype !== 'float32') return stock(call as unknown as Parameters<Run>[0]);
    const [values = 0, ...inner] = x.shape;
    const rows = attrs.numSegments;
    const columns = tf.util.sizeFromShape(inner);
    // Floats have all whole numbers up to 2^24.
    const ids = cast({
      inputs: { x: segmentIds },
      attrs: { dtype: 'float32' },
      backend: backend as unknown as Parameters<Run>[0]['backend'],
    });
    const tensor = backend.makeTensorInfo([rows, ...inner], 'float32');
    multiply(tf, backend, {
      name: 'SegmentSum',
      declarations: '',
      left: { fast: 'depth', isVector: false, load: 'return select(0.0, 1.0, ids[depth] == f32(own));' },
      right: { fast: 'own', isVector: false, load: `return x[depth * ${columns}u + own];` },
      finish: 'sum',
      inputs: { ids, x },
      vectors: [],
      columns,
      rows,
      depth: values,
      outputs: [{ tensor, rows }],
    });
    backend.disposeData(ids.dataId);
    return tensor;
  });
