import { enableRelaxedSimd } from '../../worker-node/engine/open/open-wasm.ts';
import { instantiateWithMemory } from '../../shared/kernels/module.ts';

/** AssemblyScript's compiler. Its own types would replace those of arrays in the whole program. */
interface Compiler {
  main(
    args: readonly string[],
    files: {
      readonly readFile: (name: string) => string | null;
      readonly writeFile: (name: string, contents: Uint8Array) => void;
      readonly listFiles: () => string[];
    },
  ): Promise<{ readonly error: Error | null }>;
}
const COMPILER = ['assemblyscript', 'asc'].join('/');

/** Sums that do not wait for one another: an instruction takes at most 5 cycles, and at most two start in each. */
const SUMS = 12;
const TURNS = 100_000;
/** Operations of an instruction: a product and a sum of four values. */
const OPERATIONS = 8;

const each = (line: (i: number) => string): string =>
  Array.from({ length: SUMS }, (_, i) => line(i)).join('\n');
const SOURCE = `export function peak(turns: i32, to: usize): void {
  const x = f32x4.splat(1.0001);
  const y = f32x4.splat(0.5);
  ${each((i) => `let s${i} = f32x4.splat(${i});`)}
  for (; turns > 0; --turns) {
    ${each((i) => `s${i} = f32x4.relaxed_madd(x, s${i}, y);`)}
  }
  ${each((i) => `v128.store(to, s${i}, ${16 * i});`)}
}`;

/** Returns a function that measures GFLOP/s of 128-bit multiply-adds on this core: the maximum of many short loops. */
export async function peakMeter(): Promise<(repeats?: number) => number> {
  const { default: asc } = (await import(COMPILER)) as { readonly default: Compiler };
  let bytes: Uint8Array | undefined;
  const { error } = await asc.main(
    [
      'peak.ts',
      '--outFile',
      'peak.wasm',
      '--runtime',
      'stub',
      '--enable',
      'simd,relaxed-simd',
      '--importMemory',
      '--noExportMemory',
      '-O3',
    ],
    {
      readFile: (name) => (name === 'peak.ts' ? SOURCE : null),
      writeFile: (name, contents) => {
        if (name === 'peak.wasm') bytes = Uint8Array.from(contents);
      },
      listFiles: () => [],
    },
  );
  if (error !== null) throw error;
  const memory = new (globalThis as unknown as Wasm).WebAssembly.Memory({ initial: 1 });
  enableRelaxedSimd();
  const exports = bytes && (instantiateWithMemory(memory, bytes) as Exports | null);
  if (!exports) throw new Error('This Node has no relaxed SIMD. Use Node 20 or later.');
  return (repeats = 300) => {
    let best = Infinity;
    for (let i = 0; i < repeats; i++) {
      const startedMs = performance.now();
      exports.peak(TURNS, 0);
      best = Math.min(best, performance.now() - startedMs);
    }
    return (SUMS * OPERATIONS * TURNS) / best / 1e6;
  };
}

interface Exports {
  peak(turns: number, to: number): void;
}

/** Node's types declare it only in the namespace of an old library. */
interface Wasm {
  readonly WebAssembly: {
    readonly Memory: new (limits: { initial: number }) => { readonly buffer: ArrayBuffer };
  };
}
