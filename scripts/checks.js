// The checks that need no test: types, format and lint. `node scripts/checks.js types` runs those whose names begin so.
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { ensureInstalled, root } from './install.js';

const bin = (name) => `${root}/node_modules/${name}`;
// TypeScript 7 is the compiler without the API that typescript-eslint needs; it takes a quarter of TypeScript 6's time.
// npm installs it below test/, since typescript-eslint names another version.
const types = (folder) => [`${root}/test/node_modules/@typescript/native/bin/tsc`, '--noEmit', '-p', folder];
// A larger young generation spares the garbage collector a tenth of eslint's time.
const lint = (...args) => ['--max-semi-space-size=64', bin('eslint/bin/eslint.js'), ...args];

/**
 * Two lists that take about the same time, for two cores. worker-browser/ has a TypeScript project of its own, so linting
 * it elsewhere repeats no work.
 */
const lanes = [
  [['lint', lint('.', '--ignore-pattern', 'worker-browser/')]],
  [
    ['types', types('.')],
    ['types of shared/', types('shared')],
    ['types of worker-browser/', types('worker-browser')],
    ['lint of import cycles', [`${root}/scripts/import-cycles.js`]],
    ['format', [bin('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.']],
    ['lint of worker-browser/', lint('worker-browser')],
  ],
];

/**
 * Runs all checks, also when one of them fails, and prints what each says.
 * @param prefix of the names of the checks to run
 * @returns the names of the checks that failed
 */
export async function runChecks(prefix = '') {
  const failed = [];
  const runLane = async (lane) => {
    for (const [name, args] of lane.filter(([name]) => name.startsWith(prefix))) {
      const startedMs = performance.now();
      const { code, output } = await run(args);
      console.log(`> ${name}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
      process.stdout.write(output);
      if (code !== 0) failed.push(name);
    }
  };
  await Promise.all(lanes.map(runLane));
  return failed;
}

/** Output is collected: checks run side by side. */
function run(args) {
  return new Promise((resolve) => {
    const env = process.stdout.isTTY ? { ...process.env, FORCE_COLOR: '1' } : process.env;
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    child.once('close', (code) => resolve({ code, output }));
  });
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await ensureInstalled({ checks: true });
  const failed = await runChecks(process.argv[2]);
  if (failed.length > 0) process.exit(1);
}
