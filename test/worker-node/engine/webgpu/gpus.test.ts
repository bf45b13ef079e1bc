import { describe, expect, test } from 'vitest';
import { parseGpuList, selectGpus, type GpuProperties } from '../../../../worker-node/engine/webgpu/gpus.ts';
import { gpuEnv, gpuOfEnv } from '../../../../worker-node/engine/webgpu/open-webgpu.ts';

const L4 = 'NVIDIA L4';
const ARC = 'Intel(R) Arc(TM) A770';

/** GPUs by name; software is in brackets, and '=' stands before one that has the name of an earlier one. */
function gpus(...names: string[]): GpuProperties[] {
  return names.map((text, number) => ({
    ...{
      number,
      system: 'vulkan',
      name: text.replaceAll(/[=[\]]/g, ''),
      vendor: '',
      architecture: '',
      driver: '',
    },
    ...{ isSoftware: text.startsWith('['), isSelectable: !text.startsWith('=') },
  }));
}
const numbers = (...[list, requested]: Parameters<typeof selectGpus>): number[] =>
  selectGpus(list, requested).gpus.map(({ number }) => number);

test("Dawn's message about an unknown name is read as a list", () => {
  const message = [
    'no suitable backends found',
    'Available adapters:',
    ` * backend: 'vulkan', name: '${L4}'`,
    " * backend: 'vulkan', name: 'GPU of the user's own: name: 'x''",
    " * backend: 'vulkan', name: ''",
  ].join('\n');
  expect(parseGpuList(message)).toEqual([
    { system: 'vulkan', name: L4 },
    { system: 'vulkan', name: "GPU of the user's own: name: 'x'" },
    { system: 'vulkan', name: '' },
  ]);
  expect(parseGpuList("Couldn't load Vulkan")).toEqual([]);
});

describe('--devices with WebGPU', () => {
  test('all means those that are no software', () => {
    expect(numbers(gpus(L4, '[llvmpipe]', ARC), 'all')).toEqual([0, 2]);
    expect(selectGpus(gpus(L4), 'all').remark).toBeNull();
  });

  test('numbers are used in their order, software too', () => {
    expect(numbers(gpus(L4, '[llvmpipe]', ARC), [2, 1])).toEqual([2, 1]);
  });

  test('of GPUs with one name, all uses the first and says so; the number of another is refused', () => {
    const same = gpus(L4, `=${L4}`, ARC);
    const { gpus: used, remark } = selectGpus(same, 'all');
    expect(used.map(({ number }) => number)).toEqual([0, 2]);
    expect(remark).toMatch(/^No worker for 1 \(NVIDIA L4\): .*cannot tell GPUs of one name apart/);
    expect(numbers(same, [0, 2])).toEqual([0, 2]);
    expect(() => selectGpus(same, [0, 1])).toThrow(
      /^GPU 1 \(NVIDIA L4\) cannot be selected: .*docs.guide.gpus\.md/,
    );
  });

  test('an unknown number, and software alone, are errors that say what is there', () => {
    expect(() => selectGpus(gpus(L4, '[llvmpipe]'), [2])).toThrow(
      'This machine has no GPU 2 for WebGPU; it has 0 (NVIDIA L4), 1 (llvmpipe, software).',
    );
    expect(() => selectGpus(gpus('[llvmpipe]'), 'all')).toThrow(
      /the processor replaces: 0 \(llvmpipe, software\)\. --devices 0 uses it/,
    );
  });
});

test('the environment names the GPU and the power preference', () => {
  expect(gpuOfEnv({})).toEqual({ gpu: undefined, powerPreference: 'high-performance' });
  expect(gpuOfEnv({ GRADCAST_GPU: '', GRADCAST_GPU_POWER: '' })).toEqual(gpuOfEnv({}));
  expect(gpuOfEnv(gpuEnv(ARC))).toEqual({ gpu: ARC, powerPreference: 'high-performance' });
  expect(gpuOfEnv({ GRADCAST_GPU_POWER: 'low' }).powerPreference).toBe('low-power');
  expect(gpuOfEnv({ GRADCAST_GPU_POWER: 'high' }).powerPreference).toBe('high-performance');
  expect(() => gpuOfEnv({ GRADCAST_GPU_POWER: 'hgih' })).toThrow(
    "GRADCAST_GPU_POWER takes low or high, not 'hgih'.",
  );
});
