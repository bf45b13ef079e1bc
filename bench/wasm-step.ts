// Compares a gradient step of the default CNN by WebAssembly's engine: with gradcast's kernels, with and without fused multiply-add, with
// them composed of tfjs' (no SIMD of its own), and with tfjs' kernels alone, both convolution gradients through its conv2d. Alternating
// blocks of processes. Times are those that a process computes, without those in which others have the core. `wasm-kernels` times the
// kernels alone.
// Arguments: [steps = 15] [batch = 128]
import { forkEntry, nextMessage } from './support/children.ts';
import { decile, median } from './support/statistics.ts';

const [, , stepsText = '15', batchText = '128'] = process.argv;
const WARM_UP = 6;
/** Consecutive steps of each variant, so that the caches are warm. */
const BLOCK = 3;
const VARIANTS = [
  ['naive', "tfjs', both gradients through its conv2d"],
  ['composed', "gradcast's, composed of tfjs' (no SIMD)"],
  ['plain', "gradcast's without multiply-add"],
  ['gradcast', "gradcast's"],
] as const;

const entries = VARIANTS.map(([variant, name]) => ({
  name,
  child: forkEntry('wasm-variant', [variant, batchText]),
  times: [] as number[],
}));
for (const { child } of entries) await nextMessage(child);
for (let done = -WARM_UP; done < Number(stepsText); done += BLOCK) {
  for (const { child, times } of entries) {
    const answer = nextMessage<number[]>(child);
    child.send(BLOCK);
    const stepMs = await answer;
    if (done >= 0) times.push(...stepMs);
  }
}
const [naive] = entries.map(({ times }) => ({ min: decile(times, 0), median: median(times) }));
console.log(
  `ms of a step at batch ${batchText}, and ratio to tfjs' kernels: minimum, median of ${entries[0]?.times.length} steps`,
);
for (const { name, times, child } of entries) {
  const figures = { min: decile(times, 0), median: median(times) };
  const [least, middle] = (['min', 'median'] as const).map(
    (key) => `${figures[key].toFixed(1).padStart(7)} (${(figures[key] / naive![key]).toFixed(3)})`,
  );
  console.log(`${name.padEnd(42)} ${least} ${middle}`);
  child.kill();
}
