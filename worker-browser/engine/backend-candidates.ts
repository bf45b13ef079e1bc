const BACKENDS = ['wasm', 'webgl', 'webgpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** What is known of the browser before anything is tried. */
export interface BrowserCapabilities {
  readonly cores: number;
  readonly secureContext: boolean;
  readonly hasWebGpu: boolean;
  readonly hasOffscreenCanvas: boolean;
}

/** What a person, or a test, has set in the page's address. */
export interface EngineOverride {
  readonly backend: BackendName | null;
  readonly threads: number | null;
}

/**
 * More than this gains little: a shard is some dozens of samples, and each thread holds tfjs and a model of its own.
 */
const MAX_THREADS = 8;

/** From the query of the page's address: ?engine=webgl&threads=2. What is none of ours is passed over. */
export function parseOverride(query: string): EngineOverride {
  const parameters = new URLSearchParams(query);
  const threads = Number(parameters.get('threads'));
  return {
    backend: BACKENDS.find((name) => name === parameters.get('engine')) ?? null,
    threads: Number.isInteger(threads) && threads >= 1 && threads <= 64 ? threads : null,
  };
}

/** Where there are as many, one core is left to the browser and its person. */
const MIN_CORES_TO_SPARE_ONE = 4;

/** Threads of WebAssembly that are tried, the most first. */
export function threadCounts({ cores }: BrowserCapabilities, { threads }: EngineOverride): number[] {
  if (threads !== null) return [threads];
  const free = cores >= MIN_CORES_TO_SPARE_ONE ? cores - 1 : cores;
  const most = Math.max(1, Math.min(MAX_THREADS, free));
  return [...new Set([most, Math.ceil(most / 2), 1])];
}

/** GPU backends that are worth a try. */
export function gpuCandidates(
  { hasWebGpu, hasOffscreenCanvas }: BrowserCapabilities,
  { backend }: EngineOverride,
): BackendName[] {
  const there: BackendName[] = [];
  if (hasWebGpu) there.push('webgpu');
  if (hasOffscreenCanvas) there.push('webgl');
  return backend === null ? there : there.filter((name) => name === backend);
}

/** Why a tab may be slower than it need be. */
export function describeInsecureContext({ secureContext }: BrowserCapabilities): string {
  return secureContext
    ? ''
    : ' This page came over plain http, and browsers keep WebGPU to https, where it may be faster.';
}
