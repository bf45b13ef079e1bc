import { describe, expect, test } from 'vitest';
import { missingPackages } from '../../../scripts/containers.js';

/** True if a missing builder of images is a failure. */
const containersRequired = process.env.GRADCAST_REQUIRE_CONTAINERS === '1';

/**
 * Defines tests that build and run images. Where that is not possible they are skipped and counted; with
 * GRADCAST_REQUIRE_CONTAINERS=1 an added test fails.
 */
export function describeWithContainers(name: string, define: () => void): void {
  const isPossible =
    process.platform === 'linux' && process.getuid?.() === 0 && missingPackages().length === 0;
  describe.skipIf(!isPossible)(name, { tags: ['containers'] }, define);
  if (isPossible || !containersRequired) return;
  test('images can be built', () => {
    expect.fail('images cannot be built here: run node scripts/get-containers.js as root');
  });
}
