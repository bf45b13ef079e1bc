import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { dispatch, kernelFunc, WORKGROUP_NUMBER } from './backend.ts';

interface Inputs {
  readonly logits: TensorInfo;
  readonly target: TensorInfo;
  /** Factor of each row. */
  readonly scale: TensorInfo;
}

const THREADS = 64;

/**
 * Gradient of the cross-entropy of softmax(logits) with targets whose rows add up to 1: scale x (softmax(logits) - target). Logits and
 * targets are [..., classes], scales one a row or one for all.
 */
export const softmaxCrossEntropyGrad = (tf: TF): KernelFunc =>
  kernelFunc<Inputs, object>(({ inputs, backend }) => {
    const { logits, target, scale } = inputs;
    const gradient = backend.makeTensorInfo([...logits.shape], 'float32');
    const classes = logits.shape.at(-1) ?? 1;
    const rows = tf.util.sizeFromShape(logits.shape) / classes;
    dispatch(tf, backend, {
      name: 'SoftmaxCrossEntropyGrad',
      key: 'SoftmaxCrossEntropyGrad',
      code,
      inputs: [logits, target, scale],
      outputs: [gradient],
      uniforms: [rows, classes, tf.util.sizeFromShape(scale.shape) === 1 ? 0 : 1],
      workgroups: rows,
    });
    return gradient;
  });

/** A workgroup computes one row. */
const code = (): string => `
struct Sizes { rows: u32, classes: u32, scale_stride: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(4) var<uniform> sizes: Sizes;
var<workgroup> shared_values: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = ${WORKGROUP_NUMBER};
  if (row >= sizes.rows) { return; }
  let start = row * sizes.classes;
  var largest = logits[start];
  for (var c = thread; c < sizes.classes; c += ${THREADS}u) { largest = max(largest, logits[start + c]); }
  shared_values[thread] = largest;
  workgroupBarrier();
  for (var half = ${THREADS / 2}u; half > 0u; half /= 2u) {
    if (thread < half) { shared_values[thread] = max(shared_values[thread], shared_values[thread + half]); }
    workgroupBarrier();
  }
  let shift = shared_values[0];
  workgroupBarrier();
  var sum = 0.0;
  for (var c = thread; c < sizes.classes; c += ${THREADS}u) { sum += exp(logits[start + c] - shift); }
  shared_values[thread] = sum;
  workgroupBarrier();
  for (var half = ${THREADS / 2}u; half > 0u; half /= 2u) {
    if (thread < half) { shared_values[thread] += shared_values[thread + half]; }
    workgroupBarrier();
  }
  let scale = scales[row * sizes.scale_stride];
  for (var c = thread; c < sizes.classes; c += ${THREADS}u) {
    gradient[start + c] = scale * (exp(logits[start + c] - shift) / shared_values[0] - targets[start + c]);
  }
}`;
