import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import type { Engine } from '../../shared/engine/engine.ts';
import { createEngine } from '../../shared/engine/tf-engine.ts';
import { nativeCandidates, type NativeCandidate } from './candidates.ts';
import { loadNative, setNativeEnvironment, type NativeBackend } from './load-native.ts';

export interface NativeEngine {
  readonly engine: Engine;
  readonly gpu: boolean;
  /** The version of the TensorFlow library. */
  readonly tensorflow: string | null;
}

/**
 * Native TensorFlow through tfjs-node, from the installed packages or the engine cache, the GPU build first; or why there
 * is none.
 */
export async function openNativeEngine(
  candidates: readonly NativeCandidate[] = nativeCandidates(),
): Promise<NativeEngine | { readonly missing: string }> {
  const threads = setNativeEnvironment(process.env);
  const reasons: string[] = [];
  for (const candidate of candidates) {
    try {
      const tf = await loadNative(candidate);
      const backend = tf.backend() as NativeBackend;
      const gpu = backend.isUsingGpuDevice === true;
      const info = {
        backend: 'tensorflow',
        version: tf.version.tfjs,
        device: gpu ? gpuName() : (cpus()[0]?.model.trim() ?? 'CPU'),
        threads,
      };
      return { engine: createEngine(tf, info), gpu, tensorflow: backend.binding?.TF_Version ?? null };
    } catch (error) {
      const [firstLine = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
      reasons.push(`${candidate.folder ?? candidate.package}: ${firstLine.slice(0, 120)}`);
    }
  }
  return { missing: reasons.join('; ') };
}

/** The driver's tool knows the name; TensorFlow tells it only its log. */
function gpuName(): string {
  try {
    const args = ['--query-gpu=name,memory.total', '--format=csv,noheader'];
    const text = execFileSync('nvidia-smi', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return text.trim().split('\n')[0] ?? 'GPU';
  } catch {
    return 'GPU';
  }
}
