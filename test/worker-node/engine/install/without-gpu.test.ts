import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatBenchmarkLine } from '../../../../worker-node/engine/benchmark/benchmark-child.ts';
import { verifyStaged } from '../../../../worker-node/engine/install/install.ts';

const onProcessor = {
  ...{ backend: 'tensorflow', version: '4.22.0', tensorflow: '2.21.0', device: 'a processor', gpu: false },
  ...{ threads: 1, lossBefore: 2, lossAfter: 1, batch: 8, msPerSample: 1, difference: 0, gpus: [] },
};

let folder = '';
let programFile = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gradcast-without-gpu-'));
  programFile = join(folder, 'probe.js');
  // Prints what `gradcast engine probe` prints where TensorFlow with CUDA finds no GPU.
  writeFileSync(programFile, `process.stdout.write(${JSON.stringify(formatBenchmarkLine(onProcessor))});`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const verifyOnProcessor = (acceptsNoGpu?: boolean) =>
  verifyStaged(
    {
      ...{ variant: 'gpu', cacheDir: folder, programFile, signal: new AbortController().signal },
      ...(acceptsNoGpu === undefined ? {} : { acceptsNoGpu }),
      report: { print: () => undefined, update: () => undefined },
    },
    folder,
  );

test('an engine for GPUs that finds none is refused', async () => {
  expect(await verifyOnProcessor()).toEqual({ ok: false, reason: 'it finds no GPU' });
});

test('where an image is built, it is accepted if it computes on the processor', async () => {
  expect(await verifyOnProcessor(true)).toMatchObject({ ok: true, benchmark: { gpu: false } });
});
