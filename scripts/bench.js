// npm run bench -- NAME [arguments]: installs missing packages, builds bench/ and runs the bench NAME, or all benches.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { ensureInstalled, esbuild, root } from './install.js';
import { sweep } from './sweep.js';
import { makeTemporary } from './temporary.js';

await ensureInstalled({ checks: true });
const { buildAll } = await import('./build.js');

const names = readdirSync(`${root}/bench`)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => basename(file, '.ts'));
const [wanted, ...args] = process.argv.slice(2);
if (wanted !== undefined && !names.includes(wanted)) {
  console.error(`gradcast: there is no bench '${wanted}'. Benches: ${names.join(', ')}.`);
  process.exit(1);
}

await buildAll();
const { metafile } = await esbuild({
  absWorkingDir: root,
  entryPoints: ['bench/*.ts', 'bench/support/*.ts', 'bench/links/*.ts'],
  outdir: `${root}/dist/bench`,
  outbase: 'bench',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  metafile: true,
  logLevel: 'warning',
});
sweep(`${root}/dist/bench`, new Set(Object.keys(metafile.outputs).map((path) => basename(path))));
// Removed also after a bench that fails or is killed.
const { folder, remove } = makeTemporary('gradcast-bench-');
let code = 0;
for (const name of wanted === undefined ? names : [wanted]) {
  console.log(`> ${name}`);
  const { status } = spawnSync(process.execPath, [`${root}/dist/bench/${name}.js`, ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, TMPDIR: folder },
  });
  code = status ?? 1;
  if (code !== 0) break;
}
for (const left of remove()) console.error(`Left behind in the temporary folder: ${left}`);
process.exitCode = code;
