import { expect, test, vi } from 'vitest';
import { resolveWorkerCount } from '../../cli/context.ts';

// A GPU that the system shows cannot be made by a test.
vi.mock(import('../../worker-node/engine/webgpu/system.ts'), async (original) => ({
  ...(await original()),
  webGpuOffer: (commandLine: string) => `To measure the GPU: ${commandLine} engine install --webgpu`,
}));

const context = { command: ['missing'], commandLine: 'npx gradcast' } as const;

test.each([
  ['some workers', { engine: 'auto', workers: 2 }, 1],
  ['no worker', { engine: 'auto', workers: 0 }, 0],
  ['a named engine', { engine: 'wasm', workers: 2 }, 0],
  ['an exact run, which no measured engine computes', { engine: 'auto', workers: 2, isExact: true }, 0],
] as const)('a command with %s offers WebGPU as often as it is of use', async (_, options, times) => {
  const notes: string[] = [];
  const { workers } = await resolveWorkerCount(
    { ...options, note: (line) => void notes.push(line) },
    context,
  );
  expect(workers).toBe(options.workers);
  const offer = 'To measure the GPU: npx gradcast engine install --webgpu';
  expect(notes).toEqual(new Array<string>(times).fill(offer));
});
