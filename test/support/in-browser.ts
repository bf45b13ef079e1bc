import { describe, expect, test } from 'vitest';
import { chromiumPath } from './chromium.ts';

/** True if a missing browser is a failure. */
export const browserRequired = process.env.GRADCAST_REQUIRE_BROWSER === '1';

/**
 * Defines tests that need a browser. Without one they are skipped and counted; with GRADCAST_REQUIRE_BROWSER=1 an added
 * test fails.
 */
export function describeInBrowser(name: string, define: () => void): void {
  const isMissing = chromiumPath === null;
  describe.skipIf(isMissing)(name, { tags: ['browser'] }, define);
  if (!isMissing || !browserRequired) return;
  test('a browser is installed', () => {
    expect.fail('no browser is installed: run node scripts/get-browser.js');
  });
}
