import { messageOf } from '../../../shared/error-text.ts';
import { buildFromWheel } from './build.ts';
import { bindingDir } from './cache.ts';
import { npm } from './npm.ts';
import { findTools, missingSentence, onPath, supplierOf } from './prerequisites.ts';
import { folderBytes, growthWatch, whileRunning, type InstallReport } from './progress.ts';
import { lastWords } from './run-program.ts';
import type { Variant, Ways } from './target.ts';

export interface WayOptions {
  readonly variant: Variant;
  /** The engine's folder in the making, with the package's files in place. */
  readonly staging: string;
  readonly wheelsDir: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
  /** How long the package's own download may bring nothing. */
  readonly stalledAfterMs?: number;
}

/** What came of a way. */
export interface Outcome {
  readonly name: 'download' | 'wheel';
  /** The same for a person. */
  readonly says: string;
  /** Why it did not work, or null. */
  readonly fail: string | null;
}

/** The package's own download says nothing while its host does not answer, and waits for ever. */
const STALLED_AFTER_MS = 60_000;

/** The package's own install script: libtensorflow and the addon from their host. However slow, as long as it goes on. */
export async function byDownload(options: WayOptions, ways: Ways): Promise<Outcome> {
  const { staging, signal, report, variant, stalledAfterMs = STALLED_AFTER_MS } = options;
  const outcome = { name: 'download', says: "The package's own download" } as const;
  if (!ways.download) return { ...outcome, fail: 'there is none for this platform' };
  report.say(`${outcome.says} ...`);
  const givenUp = new AbortController();
  const stalled = growthWatch(stalledAfterMs);
  try {
    const ran = await whileRunning(
      async (elapsedMs) => {
        const bytes = await folderBytes(bindingDir(staging, variant));
        if (stalled(bytes, elapsedMs)) givenUp.abort();
        report.update(`${(bytes / 1e6).toFixed(0)} MB unpacked, ${(elapsedMs / 1000).toFixed(0)} s`);
      },
      () => npm(staging, ['run', 'download-addon'], { signal: AbortSignal.any([signal, givenUp.signal]) }),
    );
    return { ...outcome, fail: ran.code === 0 ? null : lastWords(ran) };
  } catch (error) {
    signal.throwIfAborted();
    if (!givenUp.signal.aborted) throw error;
    return { ...outcome, fail: `nothing came for ${Math.round(stalledAfterMs / 1000)} s; given up` };
  }
}

/** TensorFlow's wheel by pip, and the addon compiled against it. */
export async function byWheel(options: WayOptions, ways: Ways): Promise<Outcome> {
  const outcome = { name: 'wheel', says: "TensorFlow's wheel from PyPI and a build" } as const;
  const { wheel } = ways;
  if (wheel === null) return { ...outcome, fail: 'there is none for this platform' };
  const { python, missing } = await findTools(process.env, options.signal);
  if (python === null || missing.length > 0) {
    return {
      ...outcome,
      fail: missingSentence(missing, supplierOf(process.platform, onPath(process.env))),
    };
  }
  try {
    await buildFromWheel({ ...options, folder: options.staging, wheel, python });
    return { ...outcome, fail: null };
  } catch (error) {
    options.signal.throwIfAborted();
    return { ...outcome, fail: messageOf(error) };
  }
}
