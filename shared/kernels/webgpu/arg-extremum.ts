import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { dispatch, kernelFunc, WORKGROUP_NUMBER } from './backend.ts';

interface Attrs {
  readonly axis: number | readonly number[];
}

const THREADS = 64;

/**
 * Index of the largest or smallest value along an axis: of the first, if several are equal, as the other backends have it. That of
 * tfjs takes any of them along 32 values and more, and returns a vector in place of a scalar.
 */
export const argExtremum = (tf: TF, which: 'largest' | 'smallest'): KernelFunc =>
  kernelFunc<{ readonly x: TensorInfo }, Attrs>(({ inputs: { x }, attrs, backend }) => {
    const [axis = 0] = tf.util.parseAxisParam([attrs.axis].flat(), x.shape);
    const count = x.shape[axis] ?? 1;
    const after = tf.util.sizeFromShape(x.shape.slice(axis + 1));
    const output = backend.makeTensorInfo(
      x.shape.filter((_, i) => i !== axis),
      'int32',
    );
    const size = tf.util.sizeFromShape(output.shape);
    dispatch(tf, backend, {
      name: `Arg-${which}`,
      key: `Arg-${which}`,
      code: () => code(which === 'largest' ? '>' : '<'),
      inputs: [x],
      outputs: [output],
      uniforms: [size, count, after],
      workgroups: Math.ceil(size / THREADS),
    });
    return output;
  });

/** A thread computes one index. A shader may take NaN for no number that it is greater than. */
const code = (isBetter: '>' | '<'): string => `
struct Sizes { size: u32, count: u32, after: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> indices: array<i32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = ${WORKGROUP_NUMBER} * ${THREADS}u + thread;
  if (i >= sizes.size) { return; }
  let start = i / sizes.after * sizes.count * sizes.after + i % sizes.after;
  var best = x[start];
  var index = 0u;
  for (var k = 1u; k < sizes.count; k++) {
    let value = x[start + k * sizes.after];
    if (value ${isBetter} best) { best = value; index = k; }
  }
  indices[i] = i32(index);
}`;
