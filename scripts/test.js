// npm test: installs what is missing, then runs every check. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { ensureInstalled, root } from './install.js';

ensureInstalled();

const bin = (name) => `${root}/node_modules/${name}`;
const checks = [
  ['format', [bin('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.']],
  ['lint', [bin('eslint/bin/eslint.js'), '.']],
  ['types', [bin('typescript/bin/tsc'), '--noEmit']],
  ['types of shared/', [bin('typescript/bin/tsc'), '--noEmit', '-p', 'shared']],
  ['types of worker-browser/', [bin('typescript/bin/tsc'), '--noEmit', '-p', 'worker-browser']],
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
