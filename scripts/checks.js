// node scripts/checks.js [PREFIX]: checks types, format and lint. PREFIX, such as types, selects checks by name.
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { compilerFile } from './build-types.js';
import { ensureInstalled, root } from './install.js';

const bin = (name) => `${root}/node_modules/${name}`;
const types = (folder) => [compilerFile(), '--noEmit', '-p', folder];

/** Checks: the lists run in parallel, the checks of a list one after the other. */
const createLanes = () => [
  [['lint', [bin('oxlint/bin/oxlint'), '--type-aware', '.']]],
  [
    ['types', types('.')],
    ['types of shared/', types('shared')],
    ['types of worker-browser/', types('worker-browser')],
    ['format', [bin('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.']],
  ],
];

/**
 * Runs the checks and prints their output. A failure does not stop the others.
 * @param prefix selects checks by the start of their names
 * @returns names of the failed checks
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
  await Promise.all(createLanes().map(runLane));
  return failed;
}

/** Runs Node and collects its output, since checks run in parallel. */
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
