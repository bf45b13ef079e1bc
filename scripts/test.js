// npm test: installs what is missing, then runs every check. Arguments go to vitest. The native engine is installed too,
// if it can be, and a browser; with GRADCAST_REQUIRE_NATIVE=1 and GRADCAST_REQUIRE_BROWSER=1, or in CI, they must be.
import { spawnSync } from 'node:child_process';
import { ensureInstalled, root } from './install.js';

await ensureInstalled({ checks: true });

const bin = (name) => `${root}/node_modules/${name}`;
const ifPossible = (required) => (required ? [] : ['--if-possible']);
const { CI, GRADCAST_REQUIRE_NATIVE, GRADCAST_REQUIRE_BROWSER } = process.env;
const nativeRequired = GRADCAST_REQUIRE_NATIVE === '1';
const browserRequired = GRADCAST_REQUIRE_BROWSER === '1' || CI === 'true';
const checks = [
  ['format', [bin('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.']],
  ['lint', [bin('eslint/bin/eslint.js'), '.']],
  ['types', [bin('typescript/bin/tsc'), '--noEmit']],
  ['types of shared/', [bin('typescript/bin/tsc'), '--noEmit', '-p', 'shared']],
  ['types of worker-browser/', [bin('typescript/bin/tsc'), '--noEmit', '-p', 'worker-browser']],
  ['native engine', [`${root}/bin/gradcast.js`, 'engine', 'install', ...ifPossible(nativeRequired)]],
  ['browser', [`${root}/scripts/get-browser.js`, ...ifPossible(browserRequired)]],
  ['tests', [bin('vitest/vitest.mjs'), 'run', ...process.argv.slice(2)]],
];

for (const [name, args] of checks) {
  console.log(`> ${name}`);
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) {
    console.error(`gradcast: the check '${name}' failed.`);
    process.exit(1);
  }
}
