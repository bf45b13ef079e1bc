import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import type { Engine } from '../../shared/engine/engine.ts';
import type { TF } from '../../shared/engine/model.ts';
import { createEngine } from '../../shared/engine/tf-engine.ts';

/** What tfjs-node adds to tfjs; its own types need the addon's. */
interface NativeBackend {
  readonly isUsingGpuDevice?: boolean;
}

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/** Native TensorFlow through tfjs-node, the GPU build first; or why there is none. */
export async function openNativeEngine(): Promise<{ engine: Engine } | { missing: string }> {
  const reasons: string[] = [];
  for (const name of PACKAGES) {
    try {
      checkAddon(name);
      const loaded = (await import(name)) as TF & { readonly default?: TF };
      const tf = loaded.default ?? loaded;
      await tf.ready();
      if (tf.getBackend() !== 'tensorflow') throw new Error(`its backend is ${tf.getBackend()}`);
      const gpu = (tf.backend() as NativeBackend).isUsingGpuDevice === true;
      const info = {
        backend: 'tensorflow',
        version: tf.version.tfjs,
        device: gpu ? 'GPU' : (cpus()[0]?.model ?? 'CPU'),
        threads: Number(process.env.TF_NUM_INTRAOP_THREADS ?? cpus().length),
      };
      return { engine: createEngine(tf, info) };
    } catch (error) {
      const [firstLine = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
      reasons.push(`${name}: ${firstLine.slice(0, 120)}`);
    }
  }
  return { missing: reasons.join('; ') };
}

/**
 * Importing a package whose addon is missing fails, but not before it has left half of its kernels behind.
 * @throws Error if the addon is not there
 */
function checkAddon(name: string): void {
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    throw new Error('not installed');
  }
  const versions = ['napi-v8', 'napi-v9', 'napi-v6', 'napi-v5'];
  if (!versions.some((version) => existsSync(join(folder, 'lib', version, 'tfjs_binding.node')))) {
    throw new Error('installed without its addon');
  }
}
