import { execFileSync } from 'node:child_process';
/** The numbers of GPUs, as nvidia-smi counts them. */
export type Devices = 'all' | readonly number[];

/**
 * The GPUs to use, one worker each. Where CUDA_VISIBLE_DEVICES names numbers, no others are there for this process.
 * @throws Error with a sentence if they cannot be listed, there are none, or one that was named is not among them
 */
export function resolveDevices(wanted: Devices, env: NodeJS.ProcessEnv = process.env): readonly number[] {
  const allotted = readVisibleDevices(env);
  if (allotted !== null) {
    const foreign = wanted === 'all' ? undefined : wanted.find((number) => !allotted.includes(number));
    if (foreign !== undefined) {
      throw new Error(
        `GPU ${foreign} is not allotted to this process: CUDA_VISIBLE_DEVICES leaves it ${allotted.join(', ') || 'none'}.`,
      );
    }
    if (allotted.length === 0) throw new Error('CUDA_VISIBLE_DEVICES leaves no GPU to this process.');
    return wanted === 'all' ? allotted : wanted;
  }
  const present = listDevices(env);
  if (wanted === 'all') {
    if (present === null) {
      throw new Error(
        "nvidia-smi, which lists this machine's GPUs, does not work here. Install NVIDIA's driver, or name them: --devices 0,1.",
      );
    }
    if (present.length === 0) throw new Error('nvidia-smi finds no GPU on this machine.');
    return present;
  }
  const strange = present === null ? undefined : wanted.find((number) => !present.includes(number));
  if (present !== null && strange !== undefined) {
    throw new Error(
      `There is no GPU ${strange} here; nvidia-smi finds ${present.length === 0 ? 'none' : present.join(', ')}.`,
    );
  }
  return wanted;
}

/** What makes a process see one GPU only, counted in the order of nvidia-smi, which is not CUDA's own. */
export function visibleDeviceEnv(number: number): NodeJS.ProcessEnv {
  return { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: String(number) };
}

/** The GPUs that whoever started this process left to it; null if that was not said, or not in numbers. */
function readVisibleDevices({
  CUDA_VISIBLE_DEVICES: devices = '',
}: NodeJS.ProcessEnv): readonly number[] | null {
  const text = devices.replaceAll(' ', '');
  if (!/^-?\d+(,-?\d+)*$/.test(text)) return null;
  const numbers = text.split(',').map(Number);
  // CUDA takes those before the first that is none.
  const end = numbers.findIndex((number) => number < 0);
  return [...new Set(end < 0 ? numbers : numbers.slice(0, end))];
}

/** @returns null if nvidia-smi is not there or fails */
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
