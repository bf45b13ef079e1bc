import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { SimdKernels } from '../../../shared/kernels/wasm/simd.ts';
import { simdKernels } from '../../../shared/kernels/wasm/simd.ts';
import type { ConvGeometry } from '../../support/reference-kernels.ts';
import { sized } from '../../support/reference-kernels.ts';
import { geometries, winogradGeometries } from './arbitraries.ts';
import { checkProperty } from '../../support/property.ts';

// The kernels work in a memory full of other tensors: whatever they write beyond their output and their scratch
// would be somebody's weights.
const UNTOUCHED = 0xab;
const GAP = 4096;

// Node's types have WebAssembly in the namespace of an old library only.
const wasmApi = (globalThis as unknown as { WebAssembly: { Memory: MemoryType } }).WebAssembly;
type MemoryType = new (descriptor: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };

const memory = new wasmApi.Memory({ initial: 200, maximum: 65536 });
const heap = new Uint8Array(memory.buffer);
const wasm = { asm: { memory }, _malloc: () => 0, _free: () => undefined };
const kernels = simdKernels({ wasm }) as SimdKernels;

let end = 0;
let allowed: [start: number, end: number][] = [];

/** Reserves floats or bytes with a gap behind; what is not writable must keep its bytes. */
function reserve(bytes: number, writable: boolean): number {
  const start = end;
  if (writable) allowed.push([start, start + bytes]);
  end = (start + bytes + GAP + 15) & ~15;
  if (end > heap.length) throw new Error('The test needs more memory.');
  return start;
}

function expectNothingElseWritten(): void {
  for (const [start, stop] of allowed) heap.fill(UNTOUCHED, start, stop);
  expect(heap.subarray(0, end).every((byte) => byte === UNTOUCHED)).toBe(true);
}

beforeEach(() => {
  heap.fill(UNTOUCHED);
});

/** Runs a kernel of our own on reserved memory. */
function within(run: () => void): void {
  end = GAP;
  allowed = [];
  run();
  expectNothingElseWritten();
}

describe('our kernels write to their output and their scratch only', () => {
  it('in products of matrices', () => {
    const size = fc.integer({ min: 1, max: 300 });
    const check = (m: number, n: number, k: number, a: boolean, b: boolean) =>
      within(() => {
        const [left, right] = [reserve(m * k * 4, false), reserve(k * n * 4, false)];
        const out = reserve(m * n * 4, true);
        kernels.gemm(left, right, out, m, n, k, a, b, reserve(kernels.gemmScratchBytes(m, n, k), true));
      });
    checkProperty(fc.property(size, size, size, fc.boolean(), fc.boolean(), check), { numRuns: 20, seed: 7 });
  });

  it('in convolutions', () => {
    checkProperty(fc.property(geometries, checkDirect), { numRuns: 40, seed: 8 });
  });

  it("in convolutions by Winograd's tiles", () => {
    checkProperty(fc.property(winogradGeometries, checkWinograd), { numRuns: 40, seed: 9 });
  });
});

function checkDirect(g: ConvGeometry): void {
  const { outHeight, outWidth, top, left } = sized(g);
  const under = [
    (outHeight - 1) * g.strideY + g.filterHeight,
    (outWidth - 1) * g.strideX + g.filterWidth,
  ] as const;
  const image = [g.batch, g.height, g.width, g.channels] as const;
  const filter = [g.filterHeight, g.filterWidth, g.filters, g.strideY, g.strideX] as const;
  within(() => {
    const x = reserve(g.batch * g.height * g.width * g.channels * 4, false);
    const dy = reserve(g.batch * outHeight * outWidth * g.filters * 4, false);
    const out = reserve(g.filterHeight * g.filterWidth * g.channels * g.filters * 4, true);
    const sizes = [g.channels, g.filterHeight, g.filterWidth, g.filters, outHeight, outWidth] as const;
    const scratch = reserve(kernels.convFilterGradientScratchBytes(...sizes, true, ...under), true);
    const padding = [true, ...under, top, left] as const;
    kernels.convFilterGradient(x, dy, out, ...image, ...filter, outHeight, outWidth, ...padding, scratch);
  });
  within(() => {
    const dy = reserve(g.batch * outHeight * outWidth * g.filters * 4, false);
    const taps = g.filterHeight * g.filterWidth;
    const weights = reserve(taps * g.channels * g.filters * 4, false);
    const packed = reserve(Math.ceil(g.channels / 8) * taps * g.filters * 32, true);
    const out = reserve(g.batch * g.height * g.width * g.channels * 4, true);
    const padded = [g.height + g.filterHeight - 1, g.width + g.filterWidth - 1] as const;
    const scratch = reserve(kernels.convScratchBytes(...padded, g.filters, true), true);
    kernels.packTurnedFilters(weights, taps, g.channels, g.filters, packed);
    kernels.conv(
      ...([dy, packed, out, g.batch, outHeight, outWidth, g.filters] as const),
      ...([g.filterHeight, g.filterWidth, g.channels, 1, 1, g.height, g.width, true] as const),
      ...padded,
      ...([g.filterHeight - 1 - top, g.filterWidth - 1 - left, g.strideY, g.strideX, scratch] as const),
    );
  });
}

function checkWinograd(g: ConvGeometry): void {
  const { outHeight, outWidth, top, left } = sized(g);
  const sizes = [g.channels, g.filters, outHeight, outWidth] as const;
  const image = [g.batch, g.height, g.width, g.channels, g.filters, outHeight, outWidth, top, left] as const;
  within(() => {
    const x = reserve(g.batch * g.height * g.width * g.channels * 4, false);
    const weights = reserve(9 * g.channels * g.filters * 4, false);
    const packed = reserve(kernels.winogradFilterBytes(g.channels, g.filters), true);
    const out = reserve(g.batch * outHeight * outWidth * g.filters * 4, true);
    kernels.winogradFilters(weights, g.channels, g.filters, false, packed);
    kernels.winogradConv(x, packed, out, ...image, reserve(kernels.winogradScratchBytes(...sizes), true));
  });
  if (g.filters % 4 !== 0) return;
  within(() => {
    const x = reserve(g.batch * g.height * g.width * g.channels * 4, false);
    const dy = reserve(g.batch * outHeight * outWidth * g.filters * 4, false);
    const out = reserve(9 * g.channels * g.filters * 4, true);
    const scratch = reserve(kernels.winogradFilterGradientScratchBytes(...sizes), true);
    kernels.winogradFilterGradient(x, dy, out, ...image, scratch);
  });
}
