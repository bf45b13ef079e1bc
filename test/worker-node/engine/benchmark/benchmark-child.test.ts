import { expect, test } from 'vitest';
import { nativeCandidates } from '../../../../worker-node/engine/locate/candidates.ts';
import { benchmarkInChild } from '../../../../worker-node/engine/benchmark/benchmark-child.ts';
import { describeNative } from '../../../support/native.ts';
import { gradcast } from '../../../support/worker-process.ts';

const { signal } = new AbortController();
const present = nativeCandidates().filter(({ missing }) => missing === null);

describeNative(() => {
  test('native TensorFlow trains on this machine', async () => {
    const best = present[0]!;
    const target = { engine: 'native', package: best.package, folder: best.folder } as const;
    const result = await benchmarkInChild([process.execPath, gradcast], target, 16, signal);
    expect(result).toMatchObject({ ok: true, benchmark: { backend: 'tensorflow', batch: 16 } });
  });
});

test('WebAssembly trains', async () => {
  const result = await benchmarkInChild([process.execPath, gradcast], { engine: 'wasm' }, 2, signal);
  expect(result).toMatchObject({ ok: true, benchmark: { backend: 'wasm', gpu: false } });
});

test('a missing engine has a reason', async () => {
  const target = { engine: 'native', package: '@tensorflow/tfjs-node', folder: '/nowhere' } as const;
  const result = await benchmarkInChild([process.execPath, gradcast], target, 2, signal);
  expect(result.ok ? '' : result.reason).toContain('/nowhere');
});
