// Compiles shared/kernels/wasm/assembly (AssemblyScript, in .as files so that tsc and eslint leave them alone)
// into shared/kernels/wasm/simd-bytes.ts: `node scripts/build-kernels.js` after every change there.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { Buffer } from 'node:buffer';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const folder = new URL('../shared/kernels/wasm/', import.meta.url);

/** The compiled module. Throws with the compiler's messages where the source does not compile. */
export async function compileKernels() {
  const sources = new Map();
  for (const name of await readdir(new URL('assembly/', folder))) {
    const source = await readFile(new URL(`assembly/${name}`, folder), 'utf8');
    sources.set(name.replace(/\.as$/, '.ts'), source);
  }
  let bytes;
  const { error, stderr } = await asc.main(
    [
      'index.ts',
      ...['--outFile', 'kernels.wasm', '--runtime', 'stub', '--enable', 'simd', '--use', 'abort='],
      ...['--importMemory', '--noExportMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
      ...['--optimizeLevel', '3', '--noAssert'],
    ],
    {
      readFile: (name) => sources.get(name.replaceAll('\\', '/')) ?? null,
      writeFile: (name, contents) => {
        if (name === 'kernels.wasm') bytes = contents;
      },
      listFiles: () => [],
    },
  );
  if (error || !bytes) throw new Error(`The kernels do not compile.\n${stderr.toString()}`);
  return bytes;
}

/** The text of simd-bytes.ts for a compiled module. */
export function bytesModule(bytes) {
  const lines = Buffer.from(bytes)
    .toString('base64')
    .match(/.{1,100}/g)
    .map((line) => `  '${line}',`);
  return `// Made from assembly/ by scripts/build-kernels.js; a test holds the two together.
export const simdBytesBase64 = [
${lines.join('\n')}
].join('');
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const bytes = await compileKernels();
  await writeFile(new URL('simd-bytes.ts', folder), bytesModule(bytes));
  console.log(`${bytes.length} bytes`);
}
