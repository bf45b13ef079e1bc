// npm run bench -- NAME [arguments]: installs what is missing, builds bench/ and runs one of it; without a name, all.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { ensureInstalled, esbuild, root } from './install.js';
import { sweep } from './sweep.js';

await ensureInstalled({ checks: true });
const { buildAll } = await import('./build.js');

const names = readdirSync(`${root}/bench`)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => basename(file, '.ts'));
const [wanted, ...args] = process.argv.slice(2);
if (wanted !== undefined && !names.includes(wanted)) {
  console.error(`gradcast: there is no bench '${wanted}'. There are: ${names.join(', ')}.`);
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
for (const name of wanted === undefined ? names : [wanted]) {
  console.log(`> ${name}`);
  const { status } = spawnSync(process.execPath, [`${root}/dist/bench/${name}.js`, ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}
