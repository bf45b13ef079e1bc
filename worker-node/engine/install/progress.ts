import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isInteractive } from '../../../shared/util/terminal.ts';

/** Receives the lines of an installation. */
export interface InstallReport {
  /** Prints a line that stays. */
  print(line: string): void;
  /** Shows the progress of the current step, in place of the last such line. */
  update(line: string): void;
}

const PLAIN_INTERVAL_MS = 10_000;
const TERMINAL_INTERVAL_MS = 200;

/** Reports to a stream. A terminal shows one line of progress that is overwritten; others receive one every ten seconds. */
export function streamReport(
  stream: { readonly isTTY?: boolean; write(text: string): unknown },
  now: () => number,
  env: NodeJS.ProcessEnv = process.env,
): InstallReport {
  const terminal = isInteractive(stream, env);
  let lastMs = now();
  let open = false;
  return {
    print(line) {
      stream.write(`${open ? '\r\x1b[K' : ''}${line}\n`);
      open = false;
      lastMs = now();
    },
    update(line) {
      if (now() - lastMs < (terminal ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS)) return;
      lastMs = now();
      stream.write(terminal ? `\r\x1b[K  ${line}` : `  ${line}\n`);
      open = terminal;
    },
  };
}

/** Formats '120 of 274 MB, 12 s left', by the mean rate so far. */
export function formatByteProgress(doneBytes: number, totalBytes: number, elapsedMs: number): string {
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);
  if (doneBytes > totalBytes) return `${mb(doneBytes)} MB`;
  const leftS = ((totalBytes - doneBytes) * elapsedMs) / 1000 / Math.max(1, doneBytes);
  const left = doneBytes === 0 || elapsedMs < 1000 ? '' : `, ${Math.ceil(leftS)} s left`;
  return `${mb(doneBytes)} of ${mb(totalBytes)} MB${left}`;
}

/** Formats '23 s of about 60'. */
export function formatTimeProgress(elapsedMs: number, typicalMs: number): string {
  const s = (ms: number): string => (ms / 1000).toFixed(0);
  return elapsedMs < typicalMs ? `${s(elapsedMs)} s of about ${s(typicalMs)}` : `${s(elapsedMs)} s`;
}

/** Calls `onTick` every second while the work runs. */
export async function withProgress<Result>(
  onTick: (elapsedMs: number) => void | Promise<void>,
  work: () => Promise<Result>,
): Promise<Result> {
  const startedMs = performance.now();
  const timer = setInterval(() => void onTick(performance.now() - startedMs), 1000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Bytes of all files under a folder, which may change meanwhile. */
export async function measureFolder(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) =>
        stat(join(entry.parentPath, entry.name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * Detects a size that has stopped growing.
 * @returns a function that is called regularly, and returns true once the size has not changed for `timeoutMs`
 */
export function createStallDetector(timeoutMs: number): (bytes: number, elapsedMs: number) => boolean {
  let last = { bytes: -1, atMs: 0 };
  return (bytes, elapsedMs) => {
    if (bytes !== last.bytes) last = { bytes, atMs: elapsedMs };
    return elapsedMs - last.atMs >= timeoutMs;
  };
}
