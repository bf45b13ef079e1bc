import { describe, it } from 'vitest';
import { testSeed } from '../../support/property.ts';
import { checkConvolution, checkPools } from './check-shape.ts';
import { smallShapes } from './small-shapes.ts';
import { useGuardedWasm, variants } from './wasm-backend.ts';

const TIMEOUT_MS = 600_000;

describe.each(variants)('kernels on every small image, guarded on both sides, $name', ({ kernels }) => {
  const heap = useGuardedWasm(kernels);
  // The two forms with SIMD differ in convolutions only, so the others are tested once.
  const isPlain = kernels.simd && !kernels.multiplyAdd;

  it(
    'agree with plain loops and access only their tensors in convolutions',
    () => {
      for (const g of smallShapes(testSeed(13), 0)) checkConvolution(g, heap);
    },
    TIMEOUT_MS,
  );

  if (isPlain) return;

  it(
    'agree with plain loops and access only their tensors in depthwise convolutions',
    () => {
      let count = 0;
      for (const g of smallShapes(testSeed(14), 0))
        if (count++ % 4 === 0) checkConvolution(g, heap, 1 + (count % 3));
    },
    TIMEOUT_MS,
  );

  it(
    'agree with plain loops and access only their tensors in pools, also with windows larger than the image',
    () => {
      for (const g of smallShapes(testSeed(15), 2)) checkPools(g, heap);
    },
    TIMEOUT_MS,
  );
});
