import { cpus } from 'node:os';
import type { Engine } from '../../shared/engine/engine.ts';
import { createEngine } from '../../shared/engine/tf-engine.ts';

/**
 * tfjs in plain JavaScript: a hundred times as slow as WebAssembly, and an implementation that shares no kernel with it.
 * @throws Error with a sentence where it does not work
 */
export async function openCpuEngine(): Promise<Engine> {
  const tf = await import('@tensorflow/tfjs');
  tf.enableProdMode();
  if (!(await tf.setBackend('cpu'))) throw new Error('tfjs does not work in this Node.');
  return createEngine(tf, {
    backend: 'cpu',
    version: tf.version.tfjs,
    device: cpus()[0]?.model.trim() ?? 'CPU',
    threads: 1,
  });
}
