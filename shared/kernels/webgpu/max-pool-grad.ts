import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { dispatch, kernelFunc, WORKGROUP_NUMBER } from './backend.ts';

interface Inputs {
  readonly dy: TensorInfo;
  readonly input: TensorInfo;
  readonly output: TensorInfo;
}

interface Attrs {
  readonly filterSize: number | [number, number];
  readonly strides: number | [number, number];
  readonly pad: 'valid' | 'same' | number;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

const THREADS = 64;

/**
 * MaxPoolGrad in one shader: dy and the pool's output, [samples, outHeight, outWidth, channels], and its input, [samples, height, width,
 * channels], to the gradient of the input. The first of a window's largest inputs gets all of its gradient, as in TensorFlow; tfjs'
 * own kernel chooses the last, in two shaders.
 */
export const maxPoolGrad = (tf: TF): KernelFunc =>
  kernelFunc<Inputs, Attrs>(({ inputs, attrs, backend }) => {
    const { dy, input, output } = inputs;
    const info = tf.backend_util.computePool2DInfo(
      input.shape as [number, number, number, number],
      attrs.filterSize,
      attrs.strides,
      1,
      attrs.pad,
      attrs.dimRoundingMode,
    );
    const gradient = backend.makeTensorInfo([...input.shape], 'float32');
    const size = tf.util.sizeFromShape(input.shape);
    const { top, left } = info.padInfo;
    const sizes = [info.inHeight, info.inWidth, info.inChannels, info.outHeight, info.outWidth];
    const window = [info.filterHeight, info.filterWidth, info.strideHeight, info.strideWidth, top, left];
    dispatch(tf, backend, {
      name: 'MaxPoolGrad',
      key: JSON.stringify(['MaxPoolGrad', sizes, window]),
      code: () => code(sizes, window),
      inputs: [dy, input, output],
      outputs: [gradient],
      uniforms: [size],
      workgroups: Math.ceil(size / THREADS),
    });
    return gradient;
  });

/** A thread computes one value: it looks for the windows whose first largest input is its own. */
function code(
  [height = 0, width = 0, channels = 0, outHeight = 0, outWidth = 0]: readonly number[],
  [windowHeight = 0, windowWidth = 0, strideDown = 0, strideRight = 0, top = 0, left = 0]: readonly number[],
): string {
  return `
@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(4) var<uniform> size: u32;

/** Whether an earlier input of the window has the same value. */
fn has_earlier(sample: i32, channel: i32, from_row: i32, from_column: i32, row: i32, column: i32, value: f32) -> bool {
  for (var r = max(0, from_row); r <= row; r++) {
    for (var c = max(0, from_column); c < min(${width}, from_column + ${windowWidth}); c++) {
      if (r == row && c >= column) { break; }
      if (x[((sample * ${height} + r) * ${width} + c) * ${channels} + channel] == value) { return true; }
    }
  }
  return false;
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let index = ${WORKGROUP_NUMBER} * ${THREADS}u + thread;
  if (index >= size) { return; }
  let i = i32(index);
  let channel = i % ${channels};
  let column = i / ${channels} % ${width};
  let row = i / ${channels * width} % ${height};
  let sample = i / ${channels * width * height};
  let value = x[index];
  var sum = 0.0;
  let down = row + ${top};
  let right = column + ${left};
  for (var r = max(0, (down - ${windowHeight} + ${strideDown}) / ${strideDown}); r < ${outHeight} && r * ${strideDown} <= down; r++) {
    if (r * ${strideDown} + ${windowHeight} <= down) { continue; }
    for (var c = max(0, (right - ${windowWidth} + ${strideRight}) / ${strideRight}); c < ${outWidth} && c * ${strideRight} <= right; c++) {
      if (c * ${strideRight} + ${windowWidth} <= right) { continue; }
      let out = ((sample * ${outHeight} + r) * ${outWidth} + c) * ${channels} + channel;
      if (y[out] != value) { continue; }
      if (!has_earlier(sample, channel, r * ${strideDown} - ${top}, c * ${strideRight} - ${left}, row, column, value)) { sum += dy[out]; }
    }
  }
  gradient[index] = sum;
}`;
}
