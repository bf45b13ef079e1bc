// node scripts/build-kernels.js: compiles AssemblyScript into .ts files that hold the bytes. Run it after each change of an
// .as file; a test compares the two. The ending .as keeps tsc and oxlint away from these sources.
import { Buffer } from 'node:buffer';
import { realpathSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const at = (path) => new URL(`../${path}`, import.meta.url);

/**
 * Modules to compile: each has a folder of sources, an entry, and a file that holds the compiled bytes. `features` are
 * those of WebAssembly that a module needs beside SIMD.
 */
export const modules = [
  {
    folder: at('shared/kernels/wasm/assembly/'),
    entry: 'index.ts',
    bytesFile: at('shared/kernels/wasm/simd-bytes.ts'),
    name: 'simdBytesBase64',
  },
  {
    folder: at('shared/kernels/wasm/assembly/'),
    entry: 'index.ts',
    features: ['relaxed-simd'],
    bytesFile: at('shared/kernels/wasm/multiply-add-bytes.ts'),
    name: 'multiplyAddBytesBase64',
  },
  {
    folder: at('shared/kernels/wasm/assembly/'),
    entry: 'masks.ts',
    bytesFile: at('shared/kernels/masks/masks-bytes.ts'),
    name: 'masksBytesBase64',
  },
  {
    folder: at('coordinator/optimizer/kernels/'),
    entry: 'index.ts',
    bytesFile: at('coordinator/optimizer/kernels/vector-bytes.ts'),
    name: 'vectorBytesBase64',
  },
  {
    folder: at('shared/codec/kernels/'),
    entry: 'codec.ts',
    bytesFile: at('shared/codec/kernels/codec-bytes.ts'),
    name: 'codecBytesBase64',
  },
];

/** Compiles a module. @throws Error with the compiler's messages */
export async function compile({ folder, entry, features = [] }) {
  const sources = new Map();
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.as'))) {
    sources.set(name.replace(/\.as$/, '.ts'), await readFile(new URL(name, folder), 'utf8'));
  }
  let bytes;
  const { error, stderr } = await asc.main(
    [
      entry,
      ...['--outFile', 'module.wasm', '--runtime', 'stub', '--use', 'abort='],
      ...['--enable', ['simd', ...features].join(',')],
      ...['--importMemory', '--noExportMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
      ...['--optimizeLevel', '3', '--noAssert'],
    ],
    {
      readFile: (name) => sources.get(name.replaceAll('\\', '/')) ?? null,
      writeFile: (name, contents) => {
        if (name === 'module.wasm') bytes = contents;
      },
      listFiles: () => [],
    },
  );
  if (error || !bytes) throw new Error(`${entry} does not compile.\n${stderr.toString()}`);
  return bytes;
}

/** Text of the .ts file that holds a module's bytes. */
export function bytesModule({ name }, bytes) {
  const lines = Buffer.from(bytes)
    .toString('base64')
    .match(/.{1,100}/g)
    .map((line) => `  '${line}',`);
  return `// Made from the .as files by scripts/build-kernels.js; a test holds the two together.
export const ${name} = [
${lines.join('\n')}
].join('');
`;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const module of modules) {
    const bytes = await compile(module);
    await writeFile(module.bytesFile, bytesModule(module, bytes));
    console.log(`${module.name}: ${bytes.length} bytes`);
  }
}
