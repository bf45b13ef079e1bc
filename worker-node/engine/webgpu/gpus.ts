import { errorMessage } from '../../../shared/util/error-message.ts';
import type { Devices } from '../native/nvidia-gpus.ts';
import { loadDawn, resolvePackage, type Dawn, type PowerPreference } from './webgpu-package.ts';

/** GPU as Dawn lists it: the system that it is reached by (vulkan, d3d12, metal), and its name. */
export interface ListedGpu {
  readonly system: string;
  readonly name: string;
}

/** Properties of a GPU of this machine. */
export interface GpuProperties extends ListedGpu {
  /** Number of `--devices`. */
  readonly number: number;
  readonly vendor: string;
  readonly architecture: string;
  /** Driver and its version, as the driver describes itself. */
  readonly driver: string;
  /** Whether the processor computes in place of a GPU. */
  readonly isSoftware: boolean;
  /** Whether Dawn can be told to use it: of several GPUs with one name, it uses the first. */
  readonly isSelectable: boolean;
}

export interface ListOptions {
  /** It decides about Dawn's order. @default 'high-performance' */
  readonly powerPreference?: PowerPreference | undefined;
  /** Folder from which the package is resolved. @default where findWebGpuPackage() looks */
  readonly folder?: string | undefined;
}

const load = ({ folder }: ListOptions): Promise<Dawn> =>
  loadDawn(folder === undefined ? undefined : resolvePackage(folder));

/**
 * Lists the GPUs of this machine in Dawn's order.
 * @throws Error with a sentence if the package is missing or its addon cannot be loaded
 */
export async function listGpus(options: ListOptions = {}): Promise<ListedGpu[]> {
  const dawn = await load(options);
  const { powerPreference = 'high-performance' } = options;
  try {
    // Dawn lists all GPUs if it does not find the named one.
    await dawn.create(['adapter=\0']).requestAdapter({ powerPreference });
    return [];
  } catch (error) {
    return parseGpuList(errorMessage(error));
  }
}

/** Reads the GPUs in Dawn's message about a name that it does not find. */
export function parseGpuList(message: string): ListedGpu[] {
  return [...message.matchAll(/^ \* backend: '([^']*)', name: '(.*)'$/gm)].map(
    ([, system = '', name = '']) => ({ system, name }),
  );
}

/**
 * Reads the properties of all GPUs of this machine.
 * @throws Error with a sentence if the package is missing or its addon cannot be loaded
 */
export async function readGpus(options: ListOptions = {}): Promise<GpuProperties[]> {
  const dawn = await load(options);
  const { powerPreference = 'high-performance' } = options;
  const gpus: GpuProperties[] = [];
  const listed = await listGpus(options);
  for (const [number, gpu] of listed.entries()) {
    const adapter = await dawn
      .create([`adapter=${gpu.name}`])
      .requestAdapter({ powerPreference })
      .catch(() => null);
    const { vendor = '', architecture = '', description = '', isFallbackAdapter } = adapter?.info ?? {};
    gpus.push({
      ...gpu,
      number,
      vendor,
      architecture,
      driver: description,
      isSoftware: isFallbackAdapter === true,
      // Dawn takes the first GPU whose name contains the given one.
      isSelectable: listed.findIndex(({ name }) => name.includes(gpu.name)) === number,
    });
  }
  return gpus;
}

/** GPUs to use, and a sentence about those that cannot be used. */
export interface SelectedGpus {
  readonly gpus: readonly GpuProperties[];
  readonly remark: string | null;
}

/**
 * Selects the GPUs of `--devices`. A GPU that the processor replaces is used only if its number is given.
 * @param gpus at least one
 * @throws Error with a sentence if there is none, or Dawn cannot be told to use a requested one
 */
export function selectGpus(gpus: readonly GpuProperties[], requested: Devices): SelectedGpus {
  if (requested === 'all') {
    const real = gpus.filter(({ isSoftware }) => !isSoftware);
    const selected = real.filter(({ isSelectable }) => isSelectable);
    if (selected.length === 0) {
      throw new Error(
        `WebGPU finds no GPU here but one that the processor replaces: ${describeGpus(gpus)}. ` +
          `--devices ${gpus[0]?.number ?? 0} uses it all the same.`,
      );
    }
    const hidden = real.filter(({ isSelectable }) => !isSelectable);
    const remark =
      hidden.length === 0
        ? null
        : `No worker for ${describeGpus(hidden)}: WebGPU in Node cannot tell GPUs of one name apart ` +
          '(docs/guide/gpus.md has other ways).';
    return { gpus: selected, remark };
  }
  const selected = requested.map((number) => {
    const gpu = gpus[number];
    if (gpu === undefined)
      throw new Error(`This machine has no GPU ${number} for WebGPU; it has ${describeGpus(gpus)}.`);
    if (!gpu.isSelectable) {
      throw new Error(
        `GPU ${number} (${gpu.name}) cannot be selected: another has its name, and WebGPU in Node cannot tell them apart. ` +
          'docs/guide/gpus.md has other ways to use both.',
      );
    }
    return gpu;
  });
  return { gpus: selected, remark: null };
}

/** Lists GPUs as '0 (NVIDIA L4), 1 (llvmpipe, software)'. */
export const describeGpus = (gpus: readonly GpuProperties[]): string =>
  gpus
    .map(({ number, name, isSoftware }) => `${number} (${name}${isSoftware ? ', software' : ''})`)
    .join(', ');
