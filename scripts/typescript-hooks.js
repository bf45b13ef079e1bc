// Module hooks for `register` of node:module: Node imports TypeScript files of this repository, each as a module of its
// own, without a build.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';

/** Strips the types of .ts files; other modules load as usual. */
export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
  const path = fileURLToPath(url);
  const { code } = await transform(await readFile(path, 'utf8'), {
    loader: 'ts',
    target: 'node20.19',
    sourcefile: path,
  });
  return { format: 'module', source: code, shortCircuit: true };
}
