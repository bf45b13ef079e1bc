// npm test: installs missing packages, checks format, lint and types, and runs the quick tests.
// npm run test:long: installs native TensorFlow, a browser, WebGPU, Slurm and a builder of images if they are missing. Runs the long
// tests, the quick tests that need one of them, and the property tests with new seeds and five times as many inputs.
//   --if-possible  continue without what cannot be installed
//   --soak [NAME]  run only the files of test/soak/, or the named ones, in full size and one by one
// Other arguments are passed to vitest.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import { join } from 'node:path';
import { runChecks } from './checks.js';
import { ensureInstalled, root } from './install.js';
import { makeTemporary } from './temporary.js';
import { appendCounts, countsText, readCounts } from './test-counts.js';

const OWN_OPTIONS = ['--long', '--soak', '--if-possible'];
const args = process.argv.slice(2);
const [long, soak, ifPossible] = OWN_OPTIONS.map((option) => args.includes(option));
const vitestArgs = args.filter((arg) => !OWN_OPTIONS.includes(arg));

await ensureInstalled({ checks: true });
if (long) await runLong();
else await runQuick();

async function runQuick() {
  const failed = await runChecks();
  if (failed.length > 0) {
    console.error(`gradcast: these checks failed: ${failed.join(', ')}. No test was run.`);
    finish({ passed: 0, failed: failed.length, skipped: 0 });
  }
  runTests(['--project', 'quick', ...vitestArgs], {});
}

async function runLong() {
  const program = `${root}/bin/gradcast.js`;
  const optional = ifPossible ? ['--if-possible'] : [];
  install('native TensorFlow', [program, 'engine', 'install', ...optional]);
  install('a browser', [`${root}/scripts/get-browser.js`, ...optional]);
  install('WebGPU', [program, 'engine', 'install', '--webgpu', ...optional], await gpuEnv());
  install('Slurm', [`${root}/scripts/get-programs.js`, 'slurm', ...optional]);
  install('zsh and fish', [`${root}/scripts/get-programs.js`, 'shells', ...optional]);
  install('a builder of images', [`${root}/scripts/get-programs.js`, 'containers', ...optional]);
  const kinds = ifPossible ? [] : ['NATIVE', 'BROWSER', 'WEBGPU', 'SLURM', 'SHELLS', 'CONTAINERS'];
  const required = Object.fromEntries(kinds.map((kind) => [`GRADCAST_REQUIRE_${kind}`, '1']));
  const { GRADCAST_TEST_SEEDS = 'new', GRADCAST_TEST_RUNS = '5' } = process.env;
  const env = { GRADCAST_TEST_SEEDS, GRADCAST_TEST_RUNS, ...required };
  if (soak) {
    const names = vitestArgs.length > 0 ? vitestArgs : [''];
    const files = names.map((name) => `test/soak/${name}`);
    runTests(['--project', 'long', '--disableConsoleIntercept', ...files], { ...env, GRADCAST_SOAK: '1' });
  } else if (vitestArgs.length > 0) runTests(['--project', 'long', ...vitestArgs], env);
  else runTests(['--project', 'long', '--project', 'quick', '.long.test.ts', ...quickFilesToRepeat()], env);
}

/** Environment with the GPU of the tests: the browser brings one that is the processor. */
async function gpuEnv() {
  register('./typescript-hooks.js', import.meta.url);
  const { softwareGpuEnv } = await import('../test/support/software-gpu.ts');
  return softwareGpuEnv() ?? {};
}

/** Quick test files with random inputs, or that need native TensorFlow, a browser or WebGPU. */
function quickFilesToRepeat() {
  return readdirSync(join(root, 'test'), { recursive: true })
    .map((path) => join('test', path))
    .filter((path) => path.endsWith('.test.ts') && !path.endsWith('.long.test.ts'))
    .filter((path) =>
      /\/(property|native|in-browser|webgpu|tensorflow-variants)\.ts'/.test(
        readFileSync(join(root, path), 'utf8'),
      ),
    );
}

/** Installs something that the long tests need. Ends this process if that fails and is required. */
function install(what, args, env = {}) {
  console.log(`> ${what}`);
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (status === 0 || ifPossible) return;
  console.error(
    `gradcast: the long tests need ${what}. Follow the advice above, or skip the tests that need it:`,
  );
  console.error('npm run test:long -- --if-possible');
  finish({ passed: 0, failed: 1, skipped: 0 });
}

/** Runs vitest and ends this process with its result. */
function runTests(args, env) {
  const { folder, remove } = makeTemporary('gradcast-test-counts-');
  const file = join(folder, 'counts');
  writeFileSync(file, '');
  const { status } = spawnSync(process.execPath, [`${root}/node_modules/vitest/vitest.mjs`, 'run', ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env, GRADCAST_TEST_COUNTS: file },
  });
  const counts = readCounts(file);
  remove();
  // Without counts the run has failed. A failure outside of tests counts as one failed test.
  const { passed, failed, skipped } = counts ?? { passed: 0, failed: 1, skipped: 0 };
  finish({ passed, failed: status === 0 ? failed : Math.max(failed, 1), skipped });
}

/** Ends this process. Prints the counts, or appends them to a file for the program that sums up several runs. */
function finish(counts) {
  if (process.env.GRADCAST_TEST_COUNTS) appendCounts(process.env.GRADCAST_TEST_COUNTS, counts);
  else console.log(countsText(counts));
  process.exit(counts.failed === 0 ? 0 : 1);
}
