import { execFileSync } from 'node:child_process';

/** A driver that hangs, as one may after a fault of the GPU, is like one that fails. */
export const NVIDIA_SMI_LIMITS = { timeout: 10_000, killSignal: 'SIGKILL' } as const;

/**
 * Name and memory of the GPU that TensorFlow computes on, 'NVIDIA H200, 143771 MiB'; 'GPU' if the driver's tool does not
 * say. TensorFlow itself tells it only its log.
 * @param env CUDA_VISIBLE_DEVICES is heeded: the first that is named is the one; CUDA_DEVICE_ORDER is taken to be
 *   PCI_BUS_ID, as nvidia-smi counts
 */
export function readGpuName(env: NodeJS.ProcessEnv): string {
  const [device = ''] = (env.CUDA_VISIBLE_DEVICES ?? '').split(',').map((each) => each.trim());
  const args = [
    '--query-gpu=name,memory.total',
    '--format=csv,noheader',
    `--id=${device === '' ? '0' : device}`,
  ];
  try {
    const text = execFileSync('nvidia-smi', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env,
      ...NVIDIA_SMI_LIMITS,
    });
    const [line = ''] = text.trim().split('\n');
    return line === '' ? 'GPU' : line;
  } catch {
    return 'GPU';
  }
}
