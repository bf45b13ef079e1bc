import * as fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SimdKernels } from '../../../shared/kernels/wasm/simd.ts';
import { simdKernels } from '../../../shared/kernels/wasm/simd.ts';
import type { ConvGeometry } from '../../support/reference-kernels.ts';
import { sized } from '../../support/reference-kernels.ts';
import { geometries, slidingGeometries, winogradGeometries } from './arbitraries.ts';
import { checkProperty } from '../../support/property.ts';
import { enableRelaxedSimd } from '../../../worker-node/engine/open/open-wasm.ts';

// The kernels share their memory with all tensors. A write outside of their output and scratch would change other tensors.
const UNTOUCHED = 0xab;
const GAP = 4096;
/** Largest reservation at the end of the memory. */
const EDGE_BYTES = 2 ** 21;

// Node's types declare WebAssembly only in the namespace of an old library.
const wasmApi = (globalThis as unknown as { WebAssembly: { Memory: MemoryType } }).WebAssembly;
type MemoryType = new (descriptor: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };

const memory = new wasmApi.Memory({ initial: 200, maximum: 65536 });
const heap = new Uint8Array(memory.buffer);
const untouched = new Uint8Array(heap.length).fill(UNTOUCHED);
const wasm = { asm: { memory }, _malloc: () => 0, _free: () => undefined };
enableRelaxedSimd();
let kernels: SimdKernels;

let end = 0;
let allowed: [start: number, end: number][] = [];
let reserved = 0;
/** Reservation at the start or end of the memory, where a read or write beyond it traps. */
let edge: { readonly index: number; readonly at: 'start' | 'end' } | null = null;

/** Reserves bytes followed by a gap; bytes that are not writable must not change. */
function reserve(bytes: number, writable: boolean): number {
  const index = reserved++;
  if (edge?.index === index) {
    const start = edge.at === 'start' ? 0 : heap.length - bytes;
    if (writable) allowed.push([start, start + bytes]);
    return start;
  }
  const start = end;
  if (writable) allowed.push([start, start + bytes]);
  end = (start + bytes + GAP + 15) & ~15;
  if (end > heap.length - EDGE_BYTES) throw new Error('The test needs more memory.');
  return start;
}

/** Reserves bytes to read. Not at address 0, which would mean that there are none. */
const reserveOptional = (bytes: number): number => reserve(bytes + 4, false) + 4;

function expectNothingElseWritten(): void {
  for (const [start, stop] of allowed) heap.fill(UNTOUCHED, start, stop);
  expect(Buffer.compare(heap, untouched)).toBe(0);
}

beforeEach(() => {
  heap.fill(UNTOUCHED);
});

/**
 * Runs a kernel on reserved memory: once with gaps, and once with each reservation at each edge of the memory, where reads beyond
 * it trap too.
 */
function within(run: () => void): void {
  const once = (at: typeof edge): void => {
    edge = at;
    end = EDGE_BYTES;
    allowed = [];
    reserved = 0;
    run();
    expectNothingElseWritten();
  };
  once(null);
  const parts = reserved;
  for (let index = 0; index < parts; index++) {
    once({ index, at: 'start' });
    once({ index, at: 'end' });
  }
}

describe.each([true, false])(
  'the kernels write only to their output and scratch, fused: %s',
  (multiplyAdd) => {
    beforeAll(() => {
      kernels = simdKernels({ wasm }, multiplyAdd) as SimdKernels;
    });

    it('in products of matrices', () => {
      const size = fc.integer({ min: 1, max: 300 });
      const check = (m: number, n: number, k: number, a: boolean, b: boolean) =>
        within(() => {
          const left = reserve(m * k * 4, false);
          const right = reserve(k * n * 4, false);
          const out = reserve(m * n * 4, true);
          kernels.gemm(left, right, out, m, n, k, a, b, reserve(kernels.gemmScratchBytes(m, n, k), true));
        });
      checkProperty(fc.property(size, size, size, fc.boolean(), fc.boolean(), check), {
        numRuns: 20,
        seed: 7,
      });
    });

    it('in dropout', () => {
      const check = (samples: number, size: number) =>
        within(() => {
          const x = reserve(samples * size * 4, false);
          const keys = reserve(samples * 8, false);
          const out = reserve(samples * size * 4, true);
          const scratch = reserve(kernels.keyedDropoutScratchBytes(), true);
          kernels.keyedDropout(x, keys, out, samples, size, 1, 64, 4 / 3, scratch);
        });
      const size = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 2040, max: 2060 }));
      checkProperty(fc.property(fc.integer({ min: 1, max: 3 }), size, check), { numRuns: 20, seed: 17 });
    });

    it('in elementwise operations and in sums', () => {
      const size = fc.integer({ min: 1, max: 300 });
      const check = (rows: number, columns: number) => {
        within(() => {
          const dy = reserve(rows * 4, false);
          const y = reserve(rows * 4, false);
          kernels.reluGradient(dy, y, reserve(rows * 4, true), rows);
        });
        within(() => {
          const bias = reserve(columns * 4, false);
          kernels.addBias(reserve(rows * columns * 4, true), bias, rows, columns, true);
        });
        within(() => {
          const x = reserve(rows * columns * 4, false);
          kernels.sumRows(x, reserve(columns * 4, true), rows, columns);
        });
      };
      checkProperty(fc.property(size, size, check), { numRuns: 10, seed: 10 });
    });

    it("in a max-pool's gradient", () => {
      const check = (g: ConvGeometry) => {
        const { outHeight, outWidth, top, left } = sized(g);
        within(() => {
          const dy = reserve(g.batch * outHeight * outWidth * g.channels * 4, false);
          const x = reserve(g.batch * g.height * g.width * g.channels * 4, false);
          const y = reserve(g.batch * outHeight * outWidth * g.channels * 4, false);
          const dx = reserve(g.batch * g.height * g.width * g.channels * 4, true);
          const image = [g.batch, g.height, g.width, g.channels] as const;
          const window = [g.filterHeight, g.filterWidth, g.strideY, g.strideX] as const;
          kernels.maxPoolGradient(dy, x, y, dx, ...image, ...window, outHeight, outWidth, top, left);
        });
      };
      checkProperty(fc.property(geometries, check), { numRuns: 30, seed: 11 });
    });

    it('in convolutions', () => {
      checkProperty(fc.property(geometries, checkDirect), { numRuns: 40, seed: 8 });
    });

    it("in convolutions by Winograd's tiles", () => {
      checkProperty(fc.property(winogradGeometries, checkWinograd), { numRuns: 40, seed: 9 });
    });

    it('in convolutions by rows of a matrix', () => {
      const few = fc
        .tuple(geometries, fc.integer({ min: 1, max: 4 }))
        .map(([g, channels]) => ({ ...g, channels }));
      checkProperty(fc.property(few, fc.boolean(), checkPatches), { numRuns: 20, seed: 24 });
      // Rows wider than a block.
      checkPatches({ ...wide, pad: 'same' }, true);
    });

    it('in convolutions whose taps stay in registers', () => {
      checkProperty(fc.property(slidingGeometries, fc.boolean(), checkPatches), { numRuns: 20, seed: 26 });
      checkPatches({ ...wide, filters: 8, pad: 'same' }, true);
    });

    it('in gradients of convolutions behind pools', () => {
      checkProperty(fc.property(winogradGeometries, fc.boolean(), checkPooled), { numRuns: 20, seed: 25 });
    });
  },
);

const wide: ConvGeometry = {
  ...{ batch: 2, height: 3, width: 140, channels: 1, filterHeight: 3, filterWidth: 3, filters: 9 },
  ...{ strideY: 1, strideX: 1, pad: 'valid' },
};

function checkPatches(g: ConvGeometry, relu: boolean): void {
  const { outHeight, outWidth, top, left } = sized(g);
  const taps = g.filterHeight * g.filterWidth * g.channels;
  const image = [g.batch, g.height, g.width, g.channels] as const;
  const filter = [g.filterHeight, g.filterWidth, g.filters, g.strideY, g.strideX] as const;
  const sizes = [...image, ...filter, outHeight, outWidth, top, left] as const;
  const outBytes = g.batch * outHeight * outWidth * g.filters * 4;
  const window = [g.filterHeight, g.filterWidth, g.strideY, g.strideX] as const;
  const imageBytes = kernels.patchImageBytes(g.channels, ...window, outHeight, outWidth);
  within(() => {
    const x = reserve(g.batch * g.height * g.width * g.channels * 4, false);
    const weights = reserve(taps * g.filters * 4, false);
    const bias = relu ? reserveOptional(g.filters * 4) : 0;
    const out = reserve(outBytes, true);
    const scratch = reserve(kernels.patchConvScratchBytes(taps, g.filters, outWidth) + imageBytes, true);
    kernels.patchConv(x, weights, bias, relu, out, ...sizes, scratch);
  });
  within(() => {
    const x = reserve(g.batch * g.height * g.width * g.channels * 4, false);
    const dy = reserve(outBytes, false);
    const y = relu ? reserveOptional(outBytes) : 0;
    const out = reserve(taps * g.filters * 4, true);
    const bias = reserve(g.filters * 4, true);
    const scratchBytes = kernels.patchFilterGradientScratchBytes(taps, g.filters, outWidth) + imageBytes;
    const scratch = reserve(scratchBytes, true);
    kernels.patchFilterGradient(x, dy, y, out, bias, ...sizes, scratch);
  });
}

function checkPooled(g: ConvGeometry, hasGradients: boolean): void {
  const { outHeight, outWidth, top, left } = sized(g);
  const filters = 4 * Math.ceil(g.filters / 4);
  const cells = Math.floor(outHeight / 2) * Math.floor(outWidth / 2);
  const sizes = [g.batch, g.height, g.width, g.channels, filters, outHeight, outWidth, top, left] as const;
  const scratchBytes = kernels.pooledScratchBytes(g.channels, filters, outHeight, outWidth);
  const xBytes = g.batch * g.height * g.width * g.channels * 4;
  const filterBytes = 9 * g.channels * filters * 4;
  if (cells > 0)
    within(() => {
      const x = reserve(xBytes, false);
      const packed = reserve(kernels.winogradFilterBytes(g.channels, filters), false);
      const bias = reserveOptional(filters * 4);
      const out = reserve(g.batch * cells * filters * 4, true);
      // Address 0 would be none.
      const winners = reserve(g.batch * cells * filters + 1, true) + 1;
      const even = [outHeight - (outHeight % 2), outWidth - (outWidth % 2)] as const;
      const scratch = reserve(kernels.winogradScratchBytes(g.channels, filters, ...even), true);
      const image = [g.batch, g.height, g.width, g.channels, filters, ...even, top, left] as const;
      kernels.winogradConv(x, packed, bias, hasGradients, out, winners, ...image, scratch);
    });
  /** Gradients of the pool, each at the last place of its window: the memory's bytes alone are no place. */
  const winnersOf = (): number => {
    const bytes = g.batch * cells * filters;
    const winners = reserve(bytes, true);
    heap.fill(hasGradients ? 3 : UNTOUCHED, winners, winners + bytes);
    return winners;
  };
  within(() => {
    const x = reserve(xBytes, false);
    const dy = reserve(g.batch * cells * filters * 4, false);
    const winners = winnersOf();
    const out = reserve(filterBytes, true);
    const bias = reserve(filters * 4, true);
    kernels.pooledFilterGradient(x, dy, winners, out, bias, ...sizes, reserve(scratchBytes, true));
  });
  within(() => {
    const dy = reserve(g.batch * cells * filters * 4, false);
    const winners = winnersOf();
    const weights = reserve(filterBytes, false);
    const dx = reserve(xBytes, true);
    kernels.pooledInputGradient(dy, winners, weights, dx, ...sizes, reserve(scratchBytes, true));
  });
}

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
    const outputs = g.batch * outHeight * outWidth;
    const patches = reserve(outputs * g.filterHeight * g.filterWidth * g.channels * 4, false);
    const out = reserve(g.batch * g.height * g.width * g.channels * 4, true);
    const [batch, height, width, channels] = image;
    const [filterHeight, filterWidth, , ...strides] = filter;
    kernels.addPatches(
      patches,
      out,
      batch,
      height,
      width,
      channels,
      filterHeight,
      filterWidth,
      ...strides,
      outHeight,
      outWidth,
      top,
      left,
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
    const bias = reserveOptional(g.filters * 4);
    kernels.winogradFilters(weights, g.channels, g.filters, false, packed);
    const scratch = reserve(kernels.winogradScratchBytes(...sizes), true);
    kernels.winogradConv(x, packed, bias, true, out, 0, ...image, scratch);
  });
  if (g.filters % 4 !== 0) return;
  within(() => {
    const x = reserve(g.batch * g.height * g.width * g.channels * 4, false);
    const dy = reserve(g.batch * outHeight * outWidth * g.filters * 4, false);
    const out = reserve(9 * g.channels * g.filters * 4, true);
    const scratch = reserve(kernels.winogradFilterGradientScratchBytes(...sizes), true);
    kernels.winogradFilterGradient(x, dy, out, ...image, scratch);
  });
  within(() => {
    const x = reserve(g.batch * g.height * g.width * g.channels * 4, false);
    const dy = reserve(g.batch * outHeight * outWidth * g.filters * 4, false);
    const out = reserve(9 * g.channels * g.filters * 4, true);
    const scratch = reserve(kernels.winogradFourFilterGradientScratchBytes(g.channels, g.filters), true);
    kernels.winogradFourFilterGradient(x, dy, out, ...image, scratch);
  });
}
