// node scripts/get-browser.js [--if-possible]: gets a browser for the tests where there is none.
import { ensureInstalled } from './install.js';

await ensureInstalled({ checks: true });
const { getBrowser } = await import('./browser.js');
const { path, advice } = getBrowser();
if (path) console.log(`Chromium: ${path}`);
else {
  console.error(`gradcast: ${advice}`);
  if (!process.argv.includes('--if-possible')) process.exit(1);
  console.error('gradcast: the tests in a browser are skipped.');
}
