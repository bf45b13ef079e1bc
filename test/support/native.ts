import { describe, expect, test } from 'vitest';
import { nativeCandidates } from '../../worker-node/engine/locate/candidates.ts';
import { openNative } from '../../worker-node/engine/native/open-native.ts';
import type { Native } from '../../worker-node/engine/native/backend.ts';

process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
// With more threads, the bits of a result depend on the number of threads and so on the machine's cores.
process.env.TF_NUM_INTRAOP_THREADS = '1';

/** True if missing native TensorFlow is a failure. */
const nativeRequired = process.env.GRADCAST_REQUIRE_NATIVE === '1';

/**
 * Defines tests that use native TensorFlow in this process (see GRADCAST_NATIVE_DIR). Without it they are skipped and
 * counted; with GRADCAST_REQUIRE_NATIVE=1 an added test fails.
 */
export async function withNative(define: (native: Native) => void): Promise<void> {
  const opened = await openNative();
  if ('native' in opened) {
    describe('on native TensorFlow', { tags: ['native'] }, () => define(opened.native));
    return;
  }
  skipNative(opened.missing, () => define(standIn as Native));
}

/**
 * Defines tests that start processes with native TensorFlow; see withNative.
 * @param missing reason why these tests cannot run, or null
 */
export function describeNative(define: () => void, missing = missingNative()): void {
  if (missing === null) describe('on native TensorFlow', { tags: ['native'] }, define);
  else skipNative(missing, define);
}

function missingNative(): string | null {
  const reasons = nativeCandidates().map(({ missing }) => missing);
  return reasons.includes(null) ? null : reasons.join('; ');
}

function skipNative(missing: string, define: () => void): void {
  describe.skip('on native TensorFlow', { tags: ['native'] }, define);
  if (!nativeRequired) return;
  test('native TensorFlow is installed', () => {
    expect.fail(`native TensorFlow is not installed: run node bin/gradcast.js engine install (${missing})`);
  });
}

/**
 * Stand-in for native TensorFlow while vitest collects skipped tests to count them. Every property and every call returns
 * the stand-in.
 */
const standIn: unknown = new Proxy(() => undefined, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => 'stand-in' : standIn),
  apply: () => standIn,
  construct: () => standIn as object,
});
