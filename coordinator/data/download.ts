import type { DataReporter } from './data-reporter.ts';

/** Timeouts of a download, after which the next mirror is tried. */
export interface DownloadLimits {
  /** Time until the response begins. */
  readonly connectMs: number;
  /** Time between two chunks of the response. */
  readonly stallMs: number;
  /** Time for one file, which ends a download from a very slow mirror. */
  readonly totalMs: number;
}

export const DEFAULT_LIMITS: DownloadLimits = { connectMs: 10_000, stallMs: 10_000, totalMs: 600_000 };

export type DownloadResult = { readonly ok: true } | { readonly ok: false; readonly reason: string };

export interface Download {
  readonly url: string;
  readonly fetch: typeof globalThis.fetch;
  readonly limits: DownloadLimits;
  /** Maximum length of the file. */
  readonly maxBytes: number;
  /** Called with the bytes so far, and with the total if the mirror sends it. */
  readonly onProgress: (doneBytes: number, totalBytes: number | undefined) => void;
  /** Ends the download, as a failure. */
  readonly signal?: AbortSignal | undefined;
  /** Number of bytes of the file that are there already. @default 0 */
  readonly from?: number;
  /** Receives the bytes that follow, in order. */
  readonly write: (chunk: Uint8Array) => Promise<void> | void;
  /** Called before the first byte if the mirror sends the file from its start although a part of it is there. */
  readonly restart?: () => Promise<void>;
}

/** Downloads a file into memory. @returns its bytes, or the reason of the failure */
export async function downloadToMemory(
  options: Omit<Download, 'from' | 'write' | 'restart'>,
): Promise<
  { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly reason: string }
> {
  const chunks: Uint8Array[] = [];
  const result = await download({ ...options, write: (chunk) => void chunks.push(chunk) });
  return result.ok ? { ok: true, bytes: Buffer.concat(chunks) } : result;
}

/**
 * Downloads a file over HTTP, or the rest of it. Never rejects and never hangs, unless `write` does: it resolves when all bytes are
 * written, or with a reason.
 */
export async function download({
  url,
  fetch,
  limits,
  maxBytes,
  onProgress,
  signal: stop,
  from = 0,
  write,
  restart,
}: Download): Promise<DownloadResult> {
  const abort = new AbortController();
  const signal = stop === undefined ? abort.signal : AbortSignal.any([abort.signal, stop]);
  const fail = (reason: string): void => abort.abort(new Error(reason));
  const totalTimer = setTimeout(fail, limits.totalMs, `not done within ${formatSeconds(limits.totalMs)}`);
  let stallTimer = setTimeout(fail, limits.connectMs, `no answer within ${formatSeconds(limits.connectMs)}`);
  let doneBytes = from;
  try {
    const headers = from > 0 ? { headers: { range: `bytes=${from}-` } } : {};
    const response = await orAborted(fetch(url, { signal, ...headers }), signal);
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      return { ok: false, reason: `HTTP ${response.status} ${response.statusText}`.trim() };
    }
    if (from > 0 && response.status !== PARTIAL_CONTENT) {
      doneBytes = 0;
      await restart?.();
    }
    const length = contentLength(response);
    const totalBytes = length === undefined ? undefined : doneBytes + length;
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      clearTimeout(stallTimer);
      stallTimer = setTimeout(fail, limits.stallMs, `no data for ${formatSeconds(limits.stallMs)}`);
      const { done, value } = await orAborted(reader.read(), signal);
      if (done) break;
      doneBytes += value.length;
      if (doneBytes > maxBytes) {
        fail('too long');
        return { ok: false, reason: `longer than the ${maxBytes} bytes that the file can have` };
      }
      await write(value);
      onProgress(doneBytes, totalBytes);
    }
    // Completes the progress of a response without a length.
    if (totalBytes === undefined) onProgress(doneBytes, doneBytes);
    return { ok: true };
  } catch (error) {
    const after = doneBytes > 0 ? ` after ${doneBytes} bytes` : '';
    return { ok: false, reason: `${describeFetchError(error)}${after}` };
  } finally {
    clearTimeout(totalTimer);
    clearTimeout(stallTimer);
  }
}

/** Progress of a download with its speed and the time left, once these are known. @param from bytes that were there before */
export function withSpeed(
  report: Pick<DataReporter, 'progress'>,
  label: string,
  from = 0,
): Download['onProgress'] {
  const startedMs = performance.now();
  return (done, total) => {
    const seconds = (performance.now() - startedMs) / 1000;
    const speed = (done - from) / seconds;
    const isKnown = seconds >= MIN_SECONDS_OF_SPEED && speed > 0 && total !== undefined && done < total;
    const about = isKnown
      ? ` (${(speed / 1e6).toFixed(1)} MB/s, ${formatLeft((total - done) / speed)} left)`
      : '';
    report.progress(`${label}${about}`, done, total);
  };
}

const PARTIAL_CONTENT = 206;
const MIN_SECONDS_OF_SPEED = 2;

/** Minutes and seconds: 1:05. */
const formatLeft = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

/** Rejects when the signal is aborted, even if the given fetch ignores its signal. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Length of the response; unknown if fetch decompresses it, since the header gives the compressed length. */
function contentLength(response: Response): number | undefined {
  const length = Number(response.headers.get('content-length') ?? NaN);
  return response.headers.has('content-encoding') || !Number.isFinite(length) ? undefined : length;
}

/** Errors of fetch say only 'fetch failed' or 'terminated'; the reason is in their cause. */
function describeFetchError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause as { code?: unknown; message?: unknown } | undefined;
  const detail = cause?.code ?? cause?.message;
  if (typeof detail !== 'string') return error.message;
  if (detail === 'ENOTFOUND' || detail === 'EAI_AGAIN') return `the host name is unknown (${detail})`;
  return `the connection failed (${detail})`;
}

function formatSeconds(ms: number): string {
  return `${ms / 1000} s`;
}
