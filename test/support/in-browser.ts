import { describe, expect, test } from 'vitest';
import { getBrowser } from '../../scripts/browser.js';
import { chromiumPath } from './chromium.ts';

/** Whether tests that need a browser fail where there is none; elsewhere they are skipped, saying so. */
export const browserRequired = process.env.GRADCAST_REQUIRE_BROWSER === '1' || process.env.CI === 'true';

/** Tests in a browser. Where there is none, one that is skipped says so; with GRADCAST_REQUIRE_BROWSER=1, or in CI, it fails. */
export function describeInBrowser(name: string, define: () => void): void {
  if (chromiumPath !== null) {
    describe(name, define);
    return;
  }
  describe(name, () => {
    test.skipIf(!browserRequired)('needs a browser: node scripts/get-browser.js gets one', () => {
      expect(getBrowser()).toHaveProperty('path');
    });
  });
}
