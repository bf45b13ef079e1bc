import * as core from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import * as layers from '@tensorflow/tfjs-layers';
import type { TF } from '../../../shared/util/tf.ts';

/** Exports of '@tensorflow/tfjs' without its backends: a browser loads only those that it benchmarks. */
export const tf = { ...core, ...layers, version: { tfjs: core.version_core } } as unknown as TF;

/** @throws Error if tfjs cannot set the backend up */
export async function startBackend(name: string): Promise<void> {
  tf.enableProdMode();
  if (!(await tf.setBackend(name))) throw new Error(`the backend ${name} cannot be set up`);
  await tf.ready();
}
