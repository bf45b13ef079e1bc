// npm run docs: installs missing packages and builds the documents as a site: dist/docs/. It opens by any static server, from any
// folder and without a network; read from the disk, it has no search. VitePress fails on dead links.
import { register } from 'node:module';
import { performance } from 'node:perf_hooks';
import { makeRelative } from './docs-relative.js';
import { ensureInstalled, root } from './install.js';

const startedMs = performance.now();
await ensureInstalled({ checks: true });
register('./typescript-hooks.js', import.meta.url);
const { createCli } = await import('../cli/main.ts');
const { writePages } = await import('./docs-pages.js');
// The definitions of the commands are read, and no command is run.
await writePages(createCli({ version: '', commandLine: 'gradcast', signals: { owners: 0 } }));
process.env.NODE_ENV = 'production';
const { build } = await import('vitepress');
await build(`${root}docs`);
const pages = makeRelative(`${root}dist/docs`);
console.log(`${pages} pages in dist/docs/, in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
