const BACKENDS = ['wasm', 'webgl', 'webgpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Properties of the browser that are known before an engine is benchmarked. */
export interface BrowserCapabilities {
  readonly cores: number;
  readonly secureContext: boolean;
  readonly hasWebGpu: boolean;
  readonly hasOffscreenCanvas: boolean;
}

/** Choice of the user, or a test, in the page's address. */
export interface EngineOverride {
  readonly backend: BackendName | null;
  readonly threads: number | null;
}

/** More threads gain little: a shard has some dozens of samples, and each thread has its own tfjs and model. */
const MAX_THREADS = 8;

/** Parses the query of the page's address, ?engine=webgl&threads=2. Unknown parameters are ignored. */
export function parseOverride(query: string): EngineOverride {
  const parameters = new URLSearchParams(query);
  const threads = Number(parameters.get('threads'));
  return {
    backend: BACKENDS.find((name) => name === parameters.get('engine')) ?? null,
    threads: Number.isInteger(threads) && threads >= 1 && threads <= 64 ? threads : null,
  };
}

/** Number of cores from which on one is reserved for the browser. */
const MIN_CORES_TO_RESERVE_ONE = 4;

/** Numbers of WebAssembly threads to benchmark, largest first. */
export function threadCounts({ cores }: BrowserCapabilities, { threads }: EngineOverride): number[] {
  if (threads !== null) return [threads];
  const free = cores >= MIN_CORES_TO_RESERVE_ONE ? cores - 1 : cores;
  const max = Math.max(1, Math.min(MAX_THREADS, free));
  return [...new Set([max, Math.ceil(max / 2), 1])];
}

/** GPU backends to benchmark. */
export function gpuCandidates(
  { hasWebGpu, hasOffscreenCanvas }: BrowserCapabilities,
  { backend }: EngineOverride,
): BackendName[] {
  const available: BackendName[] = [];
  if (hasWebGpu) available.push('webgpu');
  if (hasOffscreenCanvas) available.push('webgl');
  return backend === null ? available : available.filter((name) => name === backend);
}

/** Sentence for a page over plain http, which may be slower than over https. */
export function describeInsecureContext({ secureContext }: BrowserCapabilities): string {
  return secureContext
    ? ''
    : ' This page was loaded over plain http; over https, the browser may offer WebGPU, which may be faster.';
}
