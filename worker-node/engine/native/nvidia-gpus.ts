import { execFileSync } from 'node:child_process';

/** Numbers of GPUs, as nvidia-smi counts them. */
export type Devices = 'all' | readonly number[];

/**
 * Lists the GPUs to use, one worker each. If CUDA_VISIBLE_DEVICES contains numbers, only these GPUs are available.
 * @throws Error with a sentence if the GPUs cannot be listed, there are none, or a requested one is not available
 */
export function resolveDevices(requested: Devices, env: NodeJS.ProcessEnv = process.env): readonly number[] {
  const allowed = readVisibleDevices(env);
  if (allowed !== null) {
    const unavailable =
      requested === 'all' ? undefined : requested.find((number) => !allowed.includes(number));
    if (unavailable !== undefined) {
      throw new Error(
        `GPU ${unavailable} is not available to this process: CUDA_VISIBLE_DEVICES allows ${allowed.join(', ') || 'none'}.`,
      );
    }
    if (allowed.length === 0) throw new Error('CUDA_VISIBLE_DEVICES allows no GPU for this process.');
    return requested === 'all' ? allowed : requested;
  }
  const present = listDevices(env);
  if (requested === 'all') {
    if (present === null) {
      throw new Error(
        "nvidia-smi, which lists this machine's GPUs, does not work. Install NVIDIA's driver, or list the GPUs: --devices 0,1.",
      );
    }
    if (present.length === 0) throw new Error('nvidia-smi finds no GPU on this machine.');
    return present;
  }
  const unknown = present === null ? undefined : requested.find((number) => !present.includes(number));
  if (present !== null && unknown !== undefined) {
    throw new Error(
      `This machine has no GPU ${unknown}; nvidia-smi finds ${present.length === 0 ? 'none' : present.join(', ')}.`,
    );
  }
  return requested;
}

/** Environment in which a process sees only one GPU, numbered in the order of nvidia-smi, which is not CUDA's default. */
export function visibleDeviceEnv(number: number): NodeJS.ProcessEnv {
  return { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: String(number) };
}

/** Reads the GPUs that CUDA_VISIBLE_DEVICES allows; null if it is not set, or has no numbers. */
function readVisibleDevices({
  CUDA_VISIBLE_DEVICES: devices = '',
}: NodeJS.ProcessEnv): readonly number[] | null {
  const text = devices.replaceAll(' ', '');
  if (!/^-?\d+(,-?\d+)*$/.test(text)) return null;
  const numbers = text.split(',').map(Number);
  // CUDA ignores all numbers from the first negative one.
  const end = numbers.findIndex((number) => number < 0);
  return [...new Set(end < 0 ? numbers : numbers.slice(0, end))];
}

/** @returns null if nvidia-smi is missing or fails */
function listDevices(env: NodeJS.ProcessEnv): readonly number[] | null {
  try {
    const args = ['--query-gpu=index', '--format=csv,noheader'];
    const text = execFileSync('nvidia-smi', args, {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      ...NVIDIA_SMI_LIMITS,
    });
    return text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => /^\d+$/.test(line))
      .map(Number);
  } catch {
    return null;
  }
}

/** Limits for nvidia-smi, which may hang after a fault of the GPU. */
export const NVIDIA_SMI_LIMITS = { timeout: 10_000, killSignal: 'SIGKILL' } as const;

/**
 * Reads name and memory of the GPU that TensorFlow uses, 'NVIDIA H200, 143771 MiB'; 'GPU' if nvidia-smi fails. TensorFlow
 * writes the name only to its log.
 * @param env its CUDA_VISIBLE_DEVICES begins with the GPU; CUDA_DEVICE_ORDER must be PCI_BUS_ID, the order of nvidia-smi
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
