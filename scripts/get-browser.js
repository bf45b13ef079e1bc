// node scripts/get-browser.js [--if-possible]: installs a browser for the tests if there is none. With --if-possible, a
// failure is no error.
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
