import { describe, expect, test } from 'vitest';
import { nativeCandidates } from '../../worker-node/engine/locate/candidates.ts';
import { openNative } from '../../worker-node/engine/native/open-native.ts';
import type { Native } from '../../worker-node/engine/native/backend.ts';

process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
// What is computed with more threads has the bits of their number, and so of the machine's cores.
process.env.TF_NUM_INTRAOP_THREADS = '1';

/** Whether native TensorFlow must be there. */
const nativeRequired = process.env.GRADCAST_REQUIRE_NATIVE === '1';

/**
 * Tests with native TensorFlow in this process (see GRADCAST_NATIVE_DIR). Without it they are skipped and counted; with
 * GRADCAST_REQUIRE_NATIVE=1 one more fails.
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
 * The same for tests that start processes which load native TensorFlow.
 * @param missing why these tests cannot run; null if they can
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
    expect.fail(`native TensorFlow is missing: node bin/gradcast.js engine install brings it (${missing})`);
  });
}

/**
 * Takes native TensorFlow's place while tests that are skipped are collected, so that they can be counted: whatever is
 * read from it or called on it is itself again.
 */
const standIn: unknown = new Proxy(() => undefined, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => 'stand-in' : standIn),
  apply: () => standIn,
  construct: () => standIn as object,
});
