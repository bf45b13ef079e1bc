import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { dispatch, kernelFunc, WORKGROUP_NUMBER } from './backend.ts';

// Functions of single values that keep NaN. WGSL may assume that there is none; the shaders of tfjs then make 0 of the sigmoid of
// one, and infinity of its exponential, so that a run that diverges goes on with numbers that mean nothing. Sines are as exact as on a
// processor.

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
  Sin: 'sine_and_cosine(x).x',
  Cos: 'sine_and_cosine(x).y',
  Tan: 'sine_and_cosine(x).x / sine_and_cosine(x).y',
} as const;

type UnaryName = keyof typeof RESULTS;

export const UNARY_NAMES = Object.keys(RESULTS) as UnaryName[];

/** Bound below which a function has no value; at the bound, it is minus infinity. */
const LEAST: Partial<Record<UnaryName, string>> = { Log: '0.0', Log1p: '-1.0' };

/** Functions without a value at infinity. */
const PERIODIC: readonly UnaryName[] = ['Sin', 'Cos', 'Tan'];

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
// WGSL allows sines an absolute error of 2^-11. The angle less quarters of a turn, in three parts of pi / 2, and the polynomials of
// sinf.c of Cephes.
fn sine_and_cosine(x: f32) -> vec2f {
  let quarters = round(x * 0.63661977);
  let r = ((x - quarters * 1.5703125) - quarters * 4.837513e-4) - quarters * 7.54979e-8;
  let z = r * r;
  let sine = ((-1.9515296e-4 * z + 8.3321609e-3) * z - 1.6666655e-1) * z * r + r;
  let cosine = ((2.4433157e-5 * z - 1.3887316e-3) * z + 4.1666646e-2) * z * z - 0.5 * z + 1.0;
  let turned = select(vec2f(sine, cosine), vec2f(cosine, -sine), (i32(quarters) & 1) == 1);
  return select(turned, -turned, (i32(quarters) & 2) == 2);
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
  ${PERIODIC.includes(name) ? 'if ((bits & 0x7fffffffu) == 0x7f800000u) { results[i] = 0x7fc00000u; return; }' : ''}
  ${LEAST[name] === undefined ? '' : outOfRange(LEAST[name])}
  results[i] = bitcast<u32>(${RESULTS[name]});
}`;

/** WGSL that writes the bits of NaN and of minus infinity. */
const outOfRange = (least: string): string => `
  if (x <= ${least}) {
    results[i] = select(0x7fc00000u, 0xff800000u, x == ${least});
    return;
  }`;
