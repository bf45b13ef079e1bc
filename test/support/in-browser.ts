import { describe, expect, test } from 'vitest';
import { chromiumPath } from './chromium.ts';

/** Whether a browser must be there. */
export const browserRequired = process.env.GRADCAST_REQUIRE_BROWSER === '1';

/** Tests in a browser. Without one they are skipped and counted; with GRADCAST_REQUIRE_BROWSER=1 one more fails. */
export function describeInBrowser(name: string, define: () => void): void {
  const isMissing = chromiumPath === null;
  describe.skipIf(isMissing)(name, { tags: ['browser'] }, define);
  if (!isMissing || !browserRequired) return;
  test('a browser is installed', () => {
    expect.fail('a browser is missing: node scripts/get-browser.js brings one');
  });
}
