import { createWebGpuEngine, type WebGpuEngine } from '../../../shared/engine/webgpu-engine.ts';
import { systemClock } from '../../../shared/util/clock.ts';
import type { TF } from '../../../shared/util/tf.ts';
import { errorMessage } from '../../../shared/util/error-message.ts';
import { parseGpuList } from './gpus.ts';
import {
  loadDawn,
  resolvePackage,
  type Dawn,
  type Gpu,
  type GpuAdapter,
  type PowerPreference,
} from './webgpu-package.ts';

export interface WebGpuOptions {
  /** Name of the GPU, or a part of it, as `listGpus()` names it; Dawn takes the first that contains it. @default the one that WebGPU prefers */
  readonly gpu?: string | undefined;
  /** Folder from which the package is resolved. @default where findWebGpuPackage() looks */
  readonly folder?: string | undefined;
  /** @default 'high-performance' */
  readonly powerPreference?: PowerPreference | undefined;
}

/** Sentence's end that says that no driver offers a GPU. */
export const NO_GPU = 'no GPU with a driver is found';

/** Variables of the environment that name the GPU of a process and its power preference. */
const GPU_VARIABLE = 'GRADCAST_GPU';
const POWER_VARIABLE = 'GRADCAST_GPU_POWER';

const POWER_PREFERENCES: Readonly<Record<string, PowerPreference>> = {
  '': 'high-performance',
  high: 'high-performance',
  low: 'low-power',
};

/**
 * Reads the choice of a GPU from the environment.
 * @throws Error with a sentence if the power preference is unknown
 */
export function gpuOfEnv(env: NodeJS.ProcessEnv): WebGpuOptions {
  const { [GPU_VARIABLE]: gpu, [POWER_VARIABLE]: power = '' } = env;
  const powerPreference = POWER_PREFERENCES[power];
  if (powerPreference === undefined) throw new Error(`${POWER_VARIABLE} takes low or high, not '${power}'.`);
  return { gpu: gpu === '' ? undefined : gpu, powerPreference };
}

/** Environment in which a process uses one GPU. @param name as listGpus() returns it */
export const gpuEnv = (name: string): NodeJS.ProcessEnv => ({ [GPU_VARIABLE]: name });

/** Opened engine, or a sentence's end that says why there is none. */
export type OpenedWebGpu = (WebGpuEngine & { readonly isSoftware: boolean }) | { readonly missing: string };

/** Opens the engine WebGPU: tfjs' backend on Dawn. It needs no window and no display. */
export async function openWebGpuEngine(options: WebGpuOptions = {}): Promise<OpenedWebGpu> {
  const started = await startWebGpu(options);
  if ('missing' in started) return started;
  const { tf, adapter } = started;
  const engine = createWebGpuEngine(
    tf,
    describeGpu(adapter),
    'the driver has reset it',
    systemClock(globalThis),
  );
  return { ...engine, isSoftware: adapter.info.isFallbackAdapter === true };
}

/** Starts tfjs' WebGPU backend, with tfjs' own kernels. */
export async function startWebGpu({
  gpu: name,
  folder,
  powerPreference = 'high-performance',
}: WebGpuOptions = {}): Promise<
  { readonly tf: TF; readonly adapter: GpuAdapter } | { readonly missing: string }
> {
  let adapter: GpuAdapter | null;
  try {
    const dawn = await loadDawn(folder === undefined ? undefined : resolvePackage(folder));
    const gpu = dawn.create(name === undefined ? [] : [`adapter=${name}`]);
    adapter = await gpu.requestAdapter({ powerPreference });
    if (adapter === null) return { missing: NO_GPU };
    provideGlobals(dawn, gpu);
  } catch (error) {
    return { missing: describeFailure(error, name) };
  }
  const tf = await import('@tensorflow/tfjs');
  // Registers the backend only where navigator.gpu exists.
  await import('@tensorflow/tfjs-backend-webgpu');
  tf.enableProdMode();
  tf.env().set('WEBGPU_USE_LOW_POWER_GPU', powerPreference === 'low-power');
  if (!(await tf.setBackend('webgpu'))) return { missing: 'tfjs cannot start its WebGPU backend' };
  return { tf, adapter };
}

/** Name of a GPU: vendor, architecture, then driver. */
export function describeGpu({ info }: Pick<GpuAdapter, 'info'>): string {
  const { vendor, architecture, device, description } = info;
  const name = [vendor, architecture || device].filter((part) => part !== '').join(' ') || 'GPU';
  return description === '' ? name : `${name} (${description})`;
}

/** Reason why Dawn gives no GPU. @param name of the GPU that was asked for */
function describeFailure(error: unknown, name: string | undefined): string {
  const message = errorMessage(error);
  const present = parseGpuList(message).map((gpu) => gpu.name);
  if (name === undefined || present.length === 0) return message.split('\n')[0] ?? '';
  return `no GPU is named '${name}'; there is ${present.join(', ')}`;
}

/** Defines what tfjs' backend takes from a browser. */
function provideGlobals({ globals }: Dawn, gpu: Gpu): void {
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu, userAgent: 'node' },
    configurable: true,
  });
  // tfjs asks for its class, and uses it for pictures and synchronous reads alone.
  (globalThis as { OffscreenCanvas?: unknown }).OffscreenCanvas ??= class {
    getContext(): null {
      return null;
    }
  };
}
