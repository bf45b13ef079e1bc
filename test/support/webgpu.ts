import { describe, expect, test } from 'vitest';
import { findWebGpuPackage } from '../../worker-node/engine/webgpu/webgpu-package.ts';
import { softwareGpuEnv } from './software-gpu.ts';

/** Whether a missing GPU on the processor is a failure. */
const isRequired = process.env.GRADCAST_REQUIRE_WEBGPU === '1';

/**
 * Defines tests that start processes with WebGPU, on Linux on SwiftShader. Without it, or without the package webgpu, they are skipped and counted;
 * with GRADCAST_REQUIRE_WEBGPU=1 an added test fails.
 */
export function describeWebGpu(define: (env: NodeJS.ProcessEnv) => void): void {
  // Macs and Windows have a GPU, and no folder of Vulkan drivers.
  const env = softwareGpuEnv() ?? (process.platform === 'linux' ? null : {});
  const missing =
    env === null
      ? 'no Chromium with SwiftShader: run node scripts/get-browser.js'
      : findWebGpuPackage() === null
        ? 'run node bin/gradcast.js engine install --webgpu'
        : null;
  if (missing === null) {
    describe('on WebGPU in Node', { tags: ['webgpu'] }, () => define(env ?? {}));
    return;
  }
  describe.skip('on WebGPU in Node', { tags: ['webgpu'] }, () => define({}));
  if (!isRequired) return;
  test('WebGPU can be used', () => {
    expect.fail(`there is no WebGPU for Node: ${missing}`);
  });
}
