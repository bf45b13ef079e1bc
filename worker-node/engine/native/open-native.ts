import { cpus } from 'node:os';
import type { Engine } from '../../../shared/engine/engine.ts';
import { withMicroShards } from '../../../shared/engine/micro-shards.ts';
import { createModelStep } from '../../../shared/engine/model-step.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import {
  copyingTransfers,
  createGradientComputer,
  loadCustomObjects,
} from '../../../shared/engine/tf-engine.ts';
import { errorMessage } from '../../../shared/util/error-message.ts';
import { nativeCandidates, createRequireFrom, type NativeCandidate } from '../locate/candidates.ts';
import { readGpuName } from './nvidia-gpus.ts';
import { loadNative, setNativeEnvironment } from './load-native.ts';
import type { Native, NativeBackend } from './backend.ts';
import { createCapturedGradientComputer } from './captured-gradient-computer.ts';
import { registerNativeGradients } from './gradients.ts';
import { removeStaleGraphFolders } from './graph-folders.ts';
import { createIdleScheduler } from './idle-scheduler.ts';
import type { Proto } from './proto.ts';
import type { CaptureOptions } from './step-graphs.ts';

export interface NativeEngine {
  readonly engine: Engine;
  readonly gpu: boolean;
  /** Version of the TensorFlow library. */
  readonly tensorflow: string | null;
}

/** tfjs-node with its stock gradients. */
interface OpenedNative {
  readonly native: Native;
  readonly threads: number;
}

/**
 * Opens native TensorFlow through tfjs-node, from the installed packages or the engine cache, the GPU build first. Its gradient
 * steps are captured as graphs.
 * @returns the engine, or the reason why there is none
 */
export async function openNativeEngine(
  options: Partial<CaptureOptions> = {},
  candidates: readonly NativeCandidate[] = nativeCandidates(),
): Promise<NativeEngine | { readonly missing: string }> {
  const opened = await openNative(candidates);
  if ('missing' in opened) return opened;
  const { native, threads } = opened;
  const { tf, backend } = native;
  removeStaleGraphFolders();
  const capture = { idle: options.idle ?? createIdleScheduler(), note: options.note ?? (() => undefined) };
  registerNativeGradients(tf, backend);
  const gpu = backend.isUsingGpuDevice === true;
  const info = {
    backend: 'tensorflow',
    version: tf.version.tfjs,
    device: gpu ? readGpuName(process.env) : (cpus()[0]?.model.trim() ?? 'CPU'),
    threads,
  };
  const load: Engine['load'] = async (job, module) => {
    const custom = await loadCustomObjects(tf, job, module);
    const step = await createModelStep(tf, job, custom);
    // Code of a person may compute something else in each step, which a captured graph would not.
    const computer =
      custom === null
        ? createCapturedGradientComputer(native, job, step, capture)
        : createGradientComputer(tf, job, step, new ShardInputs(job), copyingTransfers);
    return withMicroShards(computer, job);
  };
  return { engine: { info, load }, gpu, tensorflow: backend.binding.TF_Version ?? null };
}

/**
 * Loads the first candidate that works, without gradcast's gradients.
 * @returns tfjs-node, or the reasons why no candidate works
 */
export async function openNative(
  candidates: readonly NativeCandidate[] = nativeCandidates(),
): Promise<OpenedNative | { readonly missing: string }> {
  const threads = setNativeEnvironment(process.env);
  const reasons: string[] = [];
  for (const candidate of candidates) {
    try {
      suppressDuplicateKernelWarnings();
      const tf = await loadNative(candidate);
      const proto = createRequireFrom(candidate.folder)(`${candidate.package}/dist/proto/api_pb.js`) as Proto;
      return { native: { tf, backend: tf.backend() as unknown as NativeBackend, proto }, threads };
    } catch (error) {
      const [firstLine = ''] = errorMessage(error).split('\n');
      reasons.push(`${candidate.folder ?? candidate.package}: ${firstLine.slice(0, 120)}`);
    }
  }
  return { missing: reasons.join('; ') };
}

/**
 * Prevents a warning for each kernel. Another copy of tfjs in this process, such as the coordinator's, shares its registry with
 * the one of tfjs-node, which would warn that each kernel is registered already, except in production mode.
 */
function suppressDuplicateKernelWarnings(): void {
  const { _tfengine: engine } = globalThis as {
    _tfengine?: { readonly ENV?: { set(flag: string, on: boolean): void } };
  };
  engine?.ENV?.set('PROD', true);
}
