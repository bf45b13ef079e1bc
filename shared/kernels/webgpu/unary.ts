import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { dispatch, kernelFunc, WORKGROUP_NUMBER } from './backend.ts';

// Functions of single values that keep NaN. WGSL may assume that there is none; the shaders of tfjs then make 0 of the sigmoid of
// one, and infinity of its exponential, so that a run that diverges goes on with numbers that mean nothing.

const THREADS = 64;

/** Functions, as WGSL of a number `x`. */
const RESULTS = {
  Exp: 'exp(x)',
  Expm1: 'expm1(x)',
  Log: 'log(x)',
  Log1p: 'log1p(x)',
  Sigmoid: 'select(tail(x), 1.0, x >= 0.0) / (1.0 + tail(x))',
  Softplus: 'max(x, 0.0) + log1p(tail(x))',
  Tanh: 'hyperbolic_tangent(x)',
  Sinh: '0.5 * (expm1(x) - expm1(-x))',
  Cosh: '0.5 * (exp(x) + exp(-x))',
  Elu: 'select(expm1(x), x, x >= 0.0)',
  Selu: '1.0507009873554805 * select(1.6732632423543772 * expm1(x), x, x >= 0.0)',
  Relu6: 'clamp(x, 0.0, 6.0)',
} as const;

type UnaryName = keyof typeof RESULTS;

export const UNARY_NAMES = Object.keys(RESULTS) as UnaryName[];

/** Bound below which a function has no value; at the bound, it is minus infinity. */
const LEAST: Partial<Record<UnaryName, string>> = { Log: '0.0', Log1p: '-1.0' };

/** Kernel of a function of single values; its input is of float32. */
export const unary = (tf: TF, name: UnaryName): KernelFunc =>
  kernelFunc<{ readonly x: TensorInfo }, object>(({ inputs: { x }, backend }) => {
    const output = backend.makeTensorInfo([...x.shape], 'float32');
    const size = tf.util.sizeFromShape(x.shape);
    dispatch(tf, backend, {
      name,
      key: `Unary-${name}`,
      code: () => code(name),
      inputs: [x],
      outputs: [output],
      uniforms: [size],
      workgroups: Math.ceil(size / THREADS),
    });
    return output;
  });

/** The numbers are loaded as bits, of which a compiler cannot assume anything. Near 0, series replace differences of equal numbers. */
const code = (name: UnaryName): string => `
struct Sizes { size: u32 }
@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn tail(x: f32) -> f32 { return exp(-abs(x)); }
fn expm1(x: f32) -> f32 {
  return select(exp(x) - 1.0, x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0))), abs(x) < 0.02);
}
fn log1p(x: f32) -> f32 {
  return select(log(1.0 + x), x * (1.0 - x * (1.0 / 2.0 - x * (1.0 / 3.0 - x / 4.0))), abs(x) < 0.02);
}
fn hyperbolic_tangent(x: f32) -> f32 {
  let e = exp(-2.0 * abs(x));
  return select(sign(x) * (1.0 - e) / (1.0 + e), x * (1.0 - x * x / 3.0), abs(x) < 0.02);
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = ${WORKGROUP_NUMBER} * ${THREADS}u + thread;
  if (i >= sizes.size) { return; }
  let bits = values[i];
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    results[i] = bits;
    return;
  }
  let x = bitcast<f32>(bits);
  ${LEAST[name] === undefined ? '' : outOfRange(LEAST[name])}
  results[i] = bitcast<u32>(${RESULTS[name]});
}`;

/** WGSL that writes the bits of NaN and of minus infinity. */
const outOfRange = (least: string): string => `
  if (x <= ${least}) {
    results[i] = select(0x7fc00000u, 0xff800000u, x == ${least});
    return;
  }`;
