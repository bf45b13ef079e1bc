import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { thresholdOf } from '../masks/dropout-masks.ts';
import { dispatch, kernelFunc, WORKGROUP_NUMBER } from './backend.ts';

interface Inputs {
  readonly x: TensorInfo;
  readonly keys: TensorInfo;
}

interface Attrs {
  readonly layer: number;
  readonly rate: number;
}

const THREADS = 64;
/** Elements that one block of the generator decides on. */
const BLOCK_VALUES = 8;

/** Dropout as keyedDropout() describes it: x times a mask that is computed where it is used. */
export const dropout = (tf: TF): KernelFunc =>
  kernelFunc<Inputs, Attrs>(({ inputs: { x, keys }, attrs, backend }) => {
    const output = backend.makeTensorInfo([...x.shape], 'float32');
    const samples = keys.shape[0] ?? 0;
    const size = tf.util.sizeFromShape(x.shape) / samples;
    const blocks = Math.ceil(size / BLOCK_VALUES);
    const { threshold, scale } = thresholdOf(attrs.rate);
    const [scaleBits = 0] = new Uint32Array(Float32Array.of(scale).buffer);
    dispatch(tf, backend, {
      name: 'KeyedDropout',
      key: 'KeyedDropout',
      code,
      inputs: [x, keys],
      outputs: [output],
      uniforms: [size, samples, blocks, attrs.layer, threshold, scaleBits],
      workgroups: Math.ceil((samples * blocks) / THREADS),
    });
    return output;
  });

/** Distances of the generator's rotations, for the groups of four rounds by turns. */
const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;

/** Four rounds, then the key for the next ones. */
const rounds = (number: number): string => `
${(ROTATIONS[number % 2] ?? []).map((left) => `  a += b; b = ((b << ${left}u) | (b >> ${32 - left}u)) ^ a;`).join('\n')}
  a += key[${(number + 1) % 3}]; b += key[${(number + 2) % 3}] + ${number + 1}u;`;

/** A thread computes the elements of one block. The generator is that of threefry.ts. */
const code = (): string => `
struct Settings { size: u32, samples: u32, blocks: u32, layer: u32, threshold: u32, scale: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> keys: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> settings: Settings;

fn threefry(key0: u32, key1: u32, counter0: u32, counter1: u32) -> vec2u {
  let key = vec3u(key0, key1, 0x1bd11bdau ^ key0 ^ key1);
  var a = counter0 + key0;
  var b = counter1 + key1;
${[0, 1, 2, 3, 4].map(rounds).join('\n')}
  return vec2u(a, b);
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let number = ${WORKGROUP_NUMBER} * ${THREADS}u + thread;
  let sample = number / settings.blocks;
  if (sample >= settings.samples) { return; }
  let block = number % settings.blocks;
  let words = threefry(keys[sample].x, keys[sample].y, block, settings.layer);
  let first = block * ${BLOCK_VALUES}u;
  let start = sample * settings.size + first;
  let scale = bitcast<f32>(settings.scale);
  for (var e = 0u; e < min(${BLOCK_VALUES}u, settings.size - first); e++) {
    let byte = (words[e / 4u] >> (e % 4u * 8u)) & 255u;
    y[start + e] = x[start + e] * select(scale, 0.0, byte < settings.threshold);
  }
}`;
