/** How long to wait before another mirror is tried. */
export interface DownloadLimits {
  /** Until the mirror's answer begins. */
  readonly connectMs: number;
  /** Between two pieces of it. */
  readonly stallMs: number;
  /** For one file in all: a mirror that trickles is given up too. */
  readonly totalMs: number;
}

export const DEFAULT_LIMITS: DownloadLimits = { connectMs: 10_000, stallMs: 10_000, totalMs: 600_000 };

export type DownloadResult =
  { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly reason: string };

/**
 * One file over HTTP, in memory. Never throws and never hangs: it ends in bytes or in a reason in words.
 *
 * @param maxBytes give up on an answer that is longer
 * @param onProgress bytes so far, and in all where the mirror says so
 * @param stop ends it early, as a failure
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
  const giveUp = (reason: string): void => abort.abort(new Error(reason));
  const total = setTimeout(giveUp, limits.totalMs, `not done within ${formatSeconds(limits.totalMs)}`);
  let waiting = setTimeout(giveUp, limits.connectMs, `no answer within ${formatSeconds(limits.connectMs)}`);
  let doneBytes = 0;
  try {
    const response = await orAborted(fetch(url, { signal }), signal);
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      return { ok: false, reason: `HTTP ${response.status} ${response.statusText}`.trim() };
    }
    const totalBytes = contentLength(response);
    const pieces: Uint8Array[] = [];
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      clearTimeout(waiting);
      waiting = setTimeout(giveUp, limits.stallMs, `nothing more came for ${formatSeconds(limits.stallMs)}`);
      const { done, value } = await orAborted(reader.read(), signal);
      if (done) break;
      pieces.push(value);
      doneBytes += value.length;
      if (doneBytes > maxBytes) {
        giveUp('too long');
        return { ok: false, reason: `longer than the ${maxBytes} bytes that the file can have` };
      }
      onProgress(doneBytes, totalBytes);
    }
    // Whoever shows progress learns the end of an answer that did not say its length.
    if (totalBytes === undefined) onProgress(doneBytes, doneBytes);
    return { ok: true, bytes: concatChunks(pieces, doneBytes) };
  } catch (error) {
    const after = doneBytes > 0 ? ` after ${doneBytes} bytes` : '';
    return { ok: false, reason: `${describeFetchError(error)}${after}` };
  } finally {
    clearTimeout(total);
    clearTimeout(waiting);
  }
}

/** A fetch that is handed in may not heed its signal; waiting ends all the same. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** An answer that the HTTP layer decompresses has another length than its header says. */
function contentLength(response: Response): number | undefined {
  const length = Number(response.headers.get('content-length') ?? NaN);
  return response.headers.has('content-encoding') || !Number.isFinite(length) ? undefined : length;
}

function concatChunks(pieces: readonly Uint8Array[], totalBytes: number): Uint8Array {
  const bytes = new Uint8Array(totalBytes);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** fetch says only 'fetch failed' or 'terminated'; what happened is in the cause. */
function describeFetchError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause as { code?: unknown; message?: unknown } | undefined;
  const detail = cause?.code ?? cause?.message;
  if (typeof detail !== 'string') return error.message;
  if (detail === 'ENOTFOUND' || detail === 'EAI_AGAIN') return `the name is not known here (${detail})`;
  return `the connection failed (${detail})`;
}

function formatSeconds(ms: number): string {
  return `${ms / 1000} s`;
}
