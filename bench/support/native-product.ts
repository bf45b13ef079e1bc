// Native TensorFlow on one thread: answers with the least milliseconds of a product of two square matrices, or with the reason why
// it is not here. Argument: number of rows
import type { TF } from '../../shared/util/tf.ts';
import { openNative } from '../../worker-node/engine/native/open-native.ts';
import { cpuMs } from './cpu-time.ts';

const [, , rowsText = '1536'] = process.argv;
const rows = Number(rowsText);
const REPEATS = 30;

/** Result of this process. */
export type NativeProduct = { readonly ms: number } | { readonly missing: string };

for (const name of ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS', 'OMP_NUM_THREADS'])
  process.env[name] = '1';
const opened = await openNative();
process.send?.('missing' in opened ? { missing: opened.missing } : { ms: await time(opened.native.tf) });

async function time(tf: TF): Promise<number> {
  await tf.setBackend('tensorflow');
  const a = tf.randomUniform([rows, rows], -1, 1, 'float32', 1);
  const b = tf.randomUniform([rows, rows], -1, 1, 'float32', 2);
  let best = Infinity;
  for (let i = 0; i < REPEATS; i++) {
    const startedMs = cpuMs();
    tf.matMul(a, b).dispose();
    best = Math.min(best, cpuMs() - startedMs);
  }
  return best;
}
