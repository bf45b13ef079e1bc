import type { TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { dispatch, WORKGROUP_NUMBER, type WebGpuBackend } from './backend.ts';

/** One of the two matrices of a product, as WGSL. The matrix need not exist: the code may gather its values. */
export interface Operand {
  /** Dimension whose neighbours are neighbours in memory: the matrix' own (rows of the left, columns of the right) or the summed one. */
  readonly fast: 'own' | 'depth';
  /**
   * Body of a function of `own: u32` and `depth: u32`, both inside the matrix, that returns a value.
   * With `isVector`, the function returns vec4f: the value and the three that follow in the fast dimension, which is a multiple of 4.
   */
  readonly load: string;
  readonly isVector: boolean;
}

/** Product of two matrices: output[row, column] = finish(sum over depth of left[row, depth] x right[depth, column]). */
export interface Product {
  /** Names the product in errors and profiles. */
  readonly name: string;
  /** WGSL of constants and functions for the operands. The code depends on nothing but this, the operands and the columns. */
  readonly declarations: string;
  readonly left: Operand;
  readonly right: Operand;
  /** WGSL expression of the output for `sum: f32` and `column: u32`. */
  readonly finish: string;
  /** Tensors of the operands and of `finish` by their names in WGSL. Those in `vectors` are arrays of vec4f. */
  readonly inputs: Readonly<Record<string, TensorInfo>>;
  readonly vectors: readonly string[];
  /** Number of columns, known when the shader is compiled. */
  readonly columns: number;
  readonly rows: number;
  readonly depth: number;
  /** Tensors that receive the rows, one after the other, with the number of rows of each; two at most. */
  readonly outputs: readonly { readonly tensor: TensorInfo; readonly rows: number }[];
}

/** Rows of a workgroup's tile of the output. */
const TILE_ROWS = 64;
/** Steps of the sum for which both operands are held in the memory of a workgroup. */
const TILE_DEPTH = 16;
/** Each thread sums 4 x 4 values in registers. */
const BLOCK = 4;
/** Workgroups that keep a large GPU busy. A product with fewer tiles divides its sums. */
const ENOUGH_WORKGROUPS = 256;
/** Part of a sum that is worth a workgroup. */
const MIN_DEPTH = 256;
/** Threads of the shader that adds the parts of divided sums. */
const REDUCE_THREADS = 64;

/**
 * Computes a product of matrices with tiles in the memory of workgroups and blocks in registers. Sums are divided over workgroups where
 * the output has few tiles, and their parts are added in order: the bits depend on the sizes alone.
 */
export function multiply(tf: TF, backend: WebGpuBackend, product: Product): void {
  const { rows, columns, depth, outputs, inputs } = product;
  const tileColumns = columns <= 16 ? 16 : columns <= 32 ? 32 : 64;
  const tiles = Math.ceil(rows / TILE_ROWS) * Math.ceil(columns / tileColumns);
  const wanted = Math.min(Math.ceil(ENOUGH_WORKGROUPS / tiles), Math.ceil(depth / MIN_DEPTH));
  const depthOfPart = Math.max(1, Math.ceil(depth / Math.max(1, wanted) / TILE_DEPTH)) * TILE_DEPTH;
  const parts = Math.max(1, Math.ceil(depth / depthOfPart));
  const isDivided = parts > 1;
  const sums = isDivided ? backend.makeTensorInfo([parts, rows, columns], 'float32') : null;
  const targets = outputs.map(({ tensor }) => tensor);
  const firstRows = outputs[0]?.rows ?? 0;
  const { name } = product;
  // The expression may need tensors that the product does not.
  const uses = (code: string) => (input: string) => new RegExp(`\\b${input}\\b`).test(code);
  const operands = `${product.left.load} ${product.right.load} ${product.declarations}`;
  const named = Object.keys(inputs);
  const read = named.filter(uses(isDivided ? operands : `${operands} ${product.finish}`));
  dispatch(tf, backend, {
    name,
    key: JSON.stringify([
      isDivided,
      tileColumns,
      read,
      { ...product, inputs: 0, rows: 0, depth: 0, outputs: outputs.length },
    ]),
    code: () => productCode(product, read, tileColumns, isDivided),
    inputs: read.map((input) => inputs[input] as TensorInfo),
    outputs: sums === null ? targets : [sums],
    uniforms: [rows, depth, depthOfPart, firstRows],
    workgroups: tiles * parts,
  });
  if (sums === null) return;
  const readAfter = named.filter(uses(product.finish));
  dispatch(tf, backend, {
    name: `${name} sums`,
    key: JSON.stringify(['sums', columns, product.finish, readAfter, outputs.length]),
    code: () => sumsCode(product, readAfter),
    inputs: [sums, ...readAfter.map((input) => inputs[input] as TensorInfo)],
    outputs: targets,
    uniforms: [rows, depth, parts, firstRows],
    workgroups: Math.ceil((rows * columns) / REDUCE_THREADS),
  });
  backend.disposeData(sums.dataId);
}

/** Declarations of the bindings of a shader, and the function `put` that writes outputs. */
function bindings(inputs: readonly string[], vectors: readonly string[], outputs: number, columns: number) {
  const buffers = inputs.map((name) => ({
    name,
    access: 'read',
    of: vectors.includes(name) ? 'vec4f' : 'f32',
  }));
  for (let i = 0; i < outputs; i++) buffers.push({ name: `output${i}`, access: 'read_write', of: 'f32' });
  const second =
    outputs > 1
      ? `if (row >= sizes.first_rows) { output1[(row - sizes.first_rows) * ${columns}u + column] = value; return; }`
      : '';
  return `
struct Sizes { rows: u32, depth: u32, depth_of_part: u32, first_rows: u32 }
${buffers
  .map(({ name, access, of }, i) => `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${of}>;`)
  .join('\n')}
@group(0) @binding(${buffers.length}) var<uniform> sizes: Sizes;
fn put(row: u32, column: u32, value: f32) {
  ${second}
  output0[row * ${columns}u + column] = value;
}`;
}

/** Statements that copy a tile of an operand into the memory of the workgroup. */
function copyTile(
  side: 'left' | 'right',
  operand: Operand,
  own: number,
  stride: number,
  threads: number,
): string {
  const { fast, isVector } = operand;
  const width = isVector ? 4 : 1;
  const values = (own * TILE_DEPTH) / width;
  const fastLength = (fast === 'own' ? own : TILE_DEPTH) / width;
  const [ownIndex, depthIndex] =
    fast === 'own'
      ? [`i % ${fastLength}u * ${width}u`, `i / ${fastLength}u`]
      : [`i / ${fastLength}u`, `i % ${fastLength}u * ${width}u`];
  const limit = side === 'left' ? 'sizes.rows' : 'COLUMNS';
  const stores = Array.from({ length: width }, (_, j) => {
    const at = fast === 'own' ? `d * ${stride}u + o + ${j}u` : `(d + ${j}u) * ${stride}u + o`;
    return `${side}_tile[${at}] = value${isVector ? `[${j}]` : ''};`;
  });
  return `
    for (var i = thread; i < ${values}u; i += ${threads}u) {
      let o = ${ownIndex};
      let d = ${depthIndex};
      let own = ${side}_start + o;
      let depth = from_depth + d;
      var value = ${isVector ? 'vec4f()' : '0.0'};
      if (own < ${limit} && depth < end) { value = load_${side}(own, depth); }
      ${stores.join('\n      ')}
    }`;
}

function productCode(
  product: Product,
  inputs: readonly string[],
  tileColumns: number,
  isDivided: boolean,
): string {
  const { left, right, columns, declarations, finish, vectors, outputs } = product;
  const threads = (TILE_ROWS / BLOCK) * (tileColumns / BLOCK);
  // One more value a row, so that neighbours in depth are in different banks.
  const leftStride = TILE_ROWS + 1;
  const rightStride = tileColumns + 1;
  const type = ({ isVector }: Operand): string => (isVector ? 'vec4f' : 'f32');
  return `
${bindings(inputs, vectors, isDivided ? 1 : outputs.length, columns)}
const COLUMNS = ${columns}u;
${declarations}
fn load_left(own: u32, depth: u32) -> ${type(left)} { ${left.load} }
fn load_right(own: u32, depth: u32) -> ${type(right)} { ${right.load} }
fn finish(sum: f32, column: u32) -> f32 { return ${isDivided ? 'sum' : finish}; }
var<workgroup> left_tile: array<f32, ${leftStride * TILE_DEPTH}>;
var<workgroup> right_tile: array<f32, ${rightStride * TILE_DEPTH}>;

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tiles_down = (sizes.rows + ${TILE_ROWS - 1}u) / ${TILE_ROWS}u;
  let tiles = tiles_down * ${Math.ceil(columns / tileColumns)}u;
  let number = ${WORKGROUP_NUMBER};
  let part = number / tiles;
  let start = part * sizes.depth_of_part;
  if (start >= sizes.depth && part > 0u) { return; }
  let end = min(sizes.depth, start + sizes.depth_of_part);
  let tile = number % tiles;
  let left_start = tile % tiles_down * ${TILE_ROWS}u;
  let right_start = tile / tiles_down * ${tileColumns}u;
  let row = thread / ${tileColumns / BLOCK}u * ${BLOCK}u;
  let column = thread % ${tileColumns / BLOCK}u * ${BLOCK}u;
  var sums0 = vec4f();
  var sums1 = vec4f();
  var sums2 = vec4f();
  var sums3 = vec4f();
  for (var from_depth = start; from_depth < end; from_depth += ${TILE_DEPTH}u) {${copyTile('left', left, TILE_ROWS, leftStride, threads)}${copyTile('right', right, tileColumns, rightStride, threads)}
    workgroupBarrier();
    for (var d = 0u; d < ${TILE_DEPTH}u; d++) {
      let l = d * ${leftStride}u + row;
      let r = d * ${rightStride}u + column;
      let values = vec4f(right_tile[r], right_tile[r + 1u], right_tile[r + 2u], right_tile[r + 3u]);
      sums0 += left_tile[l] * values;
      sums1 += left_tile[l + 1u] * values;
      sums2 += left_tile[l + 2u] * values;
      sums3 += left_tile[l + 3u] * values;
    }
    workgroupBarrier();
  }
  let sums = array<vec4f, 4>(sums0, sums1, sums2, sums3);
  for (var i = 0u; i < ${BLOCK}u; i++) {
    for (var j = 0u; j < ${BLOCK}u; j++) {
      let r = left_start + row + i;
      let c = right_start + column + j;
      if (r < sizes.rows && c < COLUMNS) { put(${isDivided ? 'part * sizes.rows + r' : 'r'}, c, finish(sums[i][j], c)); }
    }
  }
}`;
}

/** Adds the parts of divided sums. */
function sumsCode({ columns, finish, outputs }: Product, inputs: readonly string[]): string {
  return `
${bindings(['parts', ...inputs], [], outputs.length, columns)}
fn finish(sum: f32, column: u32) -> f32 { return ${finish}; }

@compute @workgroup_size(${REDUCE_THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let index = ${WORKGROUP_NUMBER} * ${REDUCE_THREADS}u + thread;
  let size = sizes.rows * ${columns}u;
  if (index >= size) { return; }
  var sum = 0.0;
  for (var part = 0u; part < sizes.depth_of_part; part++) { sum += parts[part * size + index]; }
  put(index / ${columns}u, index % ${columns}u, finish(sum, index % ${columns}u));
}`;
}
