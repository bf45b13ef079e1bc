import { expect, test } from 'vitest';
import { openNative } from '../../worker-node/engine/native.ts';
import type { Native } from '../../worker-node/engine/native/backend.ts';

process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
// What is computed with more threads has the bits of their number, and so of the machine's cores.
process.env.TF_NUM_INTRAOP_THREADS = '1';

/** Whether tests that need native TensorFlow fail where there is none; elsewhere they are skipped, saying so. */
export const nativeRequired = process.env.GRADCAST_REQUIRE_NATIVE === '1';
export const NO_NATIVE = 'needs native TensorFlow: gradcast engine install';

/**
 * Native TensorFlow, where it is found (see GRADCAST_NATIVE_DIR). Where not, a test that is skipped says why; with
 * GRADCAST_REQUIRE_NATIVE=1 it fails.
 */
export async function withNative(define: (native: Native) => void): Promise<void> {
  const opened = await openNative();
  if ('native' in opened) {
    define(opened.native);
    return;
  }
  test.skipIf(!nativeRequired)(`needs native TensorFlow: ${opened.missing}`, () => {
    expect(opened.missing).toBe('');
  });
}
