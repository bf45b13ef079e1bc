import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Engine } from '../../shared/engine/engine.ts';
import { createModelStep } from '../../shared/engine/model-step.ts';
import type { TF } from '../../shared/engine/model.ts';
import type { Native, NativeBackend } from './native/backend.ts';
import { createCapturedTrainer, type CaptureOptions } from './native/captured-trainer.ts';
import { registerNativeGradients } from './native/gradients.ts';
import { createIdle } from './native/idle.ts';
import type { Proto } from './native/proto.ts';

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/**
 * Native TensorFlow through tfjs-node, the GPU build first; or why there is none. Looked for in the folder that
 * GRADCAST_NATIVE_DIR names, if it does (its node_modules), else where gradcast itself is installed.
 */
export async function openNativeEngine(
  options: Partial<CaptureOptions> = {},
): Promise<{ engine: Engine } | { missing: string }> {
  const capture = { idle: options.idle ?? createIdle(), note: options.note ?? (() => undefined) };
  const opened = await openNative();
  if ('missing' in opened) return opened;
  const { native } = opened;
  const { tf, backend } = native;
  registerNativeGradients(tf, backend);
  const info = {
    backend: 'tensorflow',
    version: tf.version.tfjs,
    device: backend.isUsingGpuDevice === true ? 'GPU' : (cpus()[0]?.model ?? 'CPU'),
    threads: Number(process.env.TF_NUM_INTRAOP_THREADS ?? cpus().length),
  };
  const load: Engine['load'] = async (job) =>
    createCapturedTrainer(native, job, await createModelStep(tf, job), capture);
  return { engine: { info, load } };
}

/** tfjs-node as it is, with its own gradients; or why there is none. */
export async function openNative(): Promise<{ native: Native } | { missing: string }> {
  const reasons: string[] = [];
  for (const name of PACKAGES) {
    try {
      const require = requireOf();
      checkAddon(require, name);
      quietSecondCopy();
      const loaded = (await import(pathToFileURL(require.resolve(name)).href)) as TF & {
        readonly default?: TF;
      };
      const tf = loaded.default ?? loaded;
      await tf.ready();
      if (tf.getBackend() !== 'tensorflow') throw new Error(`its backend is ${tf.getBackend()}`);
      const proto = require(`${name}/dist/proto/api_pb.js`) as Proto;
      return { native: { tf, backend: tf.backend() as unknown as NativeBackend, proto } };
    } catch (error) {
      const [firstLine = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
      reasons.push(`${name}: ${firstLine.slice(0, 120)}`);
    }
  }
  return { missing: reasons.join('; ') };
}

/**
 * Another copy of tfjs in this process, such as the coordinator's, shares its registry with the one that tfjs-node
 * brings, which would say of every kernel that it is there already; not so in production mode.
 */
function quietSecondCopy(): void {
  const { _tfengine: engine } = globalThis as {
    _tfengine?: { readonly ENV?: { set(flag: string, on: boolean): void } };
  };
  engine?.ENV?.set('PROD', true);
}

function requireOf(): NodeJS.Require {
  const folder = process.env.GRADCAST_NATIVE_DIR;
  return createRequire(
    folder === undefined || folder === '' ? import.meta.url : join(folder, 'package.json'),
  );
}

/**
 * Importing a package whose addon is missing fails, but not before it has left half of its kernels behind.
 * @throws Error if the addon is not there
 */
function checkAddon(require: NodeJS.Require, name: string): void {
  let folder: string;
  try {
    folder = dirname(require.resolve(`${name}/package.json`));
  } catch {
    throw new Error('not installed');
  }
  const versions = ['napi-v8', 'napi-v9', 'napi-v6', 'napi-v5'];
  if (!versions.some((version) => existsSync(join(folder, 'lib', version, 'tfjs_binding.node')))) {
    throw new Error('installed without its addon');
  }
}
