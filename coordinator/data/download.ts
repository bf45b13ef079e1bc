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

export type DownloadResult =
  { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly reason: string };

/**
 * Downloads a file over HTTP into memory. Never rejects and never hangs: it resolves with the bytes or with a reason.
 *
 * @param maxBytes maximum length of the response
 * @param onProgress called with the bytes so far, and with the total if the mirror sends it
 * @param stop ends the download, as a failure
 */
export async function download(
  url: string,
  fetch: typeof globalThis.fetch,
  limits: DownloadLimits,
  maxBytes: number,
  onProgress: (doneBytes: number, totalBytes: number | undefined) => void,
  stop?: AbortSignal,
): Promise<DownloadResult> {
  const abort = new AbortController();
  const signal = stop === undefined ? abort.signal : AbortSignal.any([abort.signal, stop]);
  const fail = (reason: string): void => abort.abort(new Error(reason));
  const totalTimer = setTimeout(fail, limits.totalMs, `not done within ${formatSeconds(limits.totalMs)}`);
  let stallTimer = setTimeout(fail, limits.connectMs, `no answer within ${formatSeconds(limits.connectMs)}`);
  let doneBytes = 0;
  try {
    const response = await orAborted(fetch(url, { signal }), signal);
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      return { ok: false, reason: `HTTP ${response.status} ${response.statusText}`.trim() };
    }
    const totalBytes = contentLength(response);
    const chunks: Uint8Array[] = [];
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      clearTimeout(stallTimer);
      stallTimer = setTimeout(fail, limits.stallMs, `no data for ${formatSeconds(limits.stallMs)}`);
      const { done, value } = await orAborted(reader.read(), signal);
      if (done) break;
      chunks.push(value);
      doneBytes += value.length;
      if (doneBytes > maxBytes) {
        fail('too long');
        return { ok: false, reason: `longer than the ${maxBytes} bytes that the file can have` };
      }
      onProgress(doneBytes, totalBytes);
    }
    // Completes the progress of a response without a length.
    if (totalBytes === undefined) onProgress(doneBytes, doneBytes);
    return { ok: true, bytes: concatChunks(chunks, doneBytes) };
  } catch (error) {
    const after = doneBytes > 0 ? ` after ${doneBytes} bytes` : '';
    return { ok: false, reason: `${describeFetchError(error)}${after}` };
  } finally {
    clearTimeout(totalTimer);
    clearTimeout(stallTimer);
  }
}

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

function concatChunks(chunks: readonly Uint8Array[], totalBytes: number): Uint8Array {
  const bytes = new Uint8Array(totalBytes);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
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
