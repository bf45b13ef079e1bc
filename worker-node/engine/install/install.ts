import { join } from 'node:path';
import { messageOf } from '../../../shared/error-text.ts';
import { engineCacheKey, forgetFailure, rememberFailure } from './failure.ts';
import { withLock } from './lock.ts';
import { nodeHeadersDir } from './node-headers.ts';
import { npm, npmSentence, writePackage } from './npm.ts';
import { diskSentence, fullSentence, meansFull } from './prerequisites.ts';
import { timeLine, whileRunning, type InstallReport } from './progress.ts';
import { describeProbe, type Probe } from './prove.ts';
import { newStaging, publish, removeFolder, removeStaleStaging } from './staging.ts';
import { engineKey, hasGlibc, packageOf, TFJS_VERSION, thisTarget, waysOf } from './target.ts';
import type { Target, Variant, Ways } from './target.ts';
import { proveStaged, tryPresent } from './trial.ts';
import { byDownload, byWheel } from './ways.ts';
import { makeWritable } from './writable.ts';

export interface InstallOptions {
  readonly variant: Variant;
  readonly cacheDir: string;
  /** What runs gradcast, for the child that proves the engine. */
  readonly programFile: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
}

/** A working engine, and where it is. */
export interface Installed {
  readonly folder: string | null;
  readonly probe: Probe;
}

/** No way has led to a working engine. The message says for each way why. */
export class NotInstalled extends Error {
  override readonly name = 'NotInstalled';
  /** Why, in one sentence: of the last way, which is the one that the person can do something about. */
  readonly why: string;

  constructor(message: string, why: string) {
    super(message);
    this.why = why;
  }
}

const USUAL_NPM_MS = 20_000;
/** Offline, npm would try for minutes, package by package, while somebody waits who wants to train. */
const SOON_OFFLINE = [
  '--prefer-offline',
  '--fetch-retries=2',
  '--fetch-retry-mintimeout=1000',
  '--fetch-retry-maxtimeout=3000',
];

/**
 * Gets a native engine by the first way that works: one that is there, the package's own download, TensorFlow's wheel and
 * a build. No way counts before a training step has been made with it.
 * @throws NotInstalled; or another Error with a sentence, where nothing had been tried yet
 */
export async function installEngine(options: InstallOptions): Promise<Installed> {
  const { variant, cacheDir, report, signal } = options;
  const target = thisTarget();
  const present = await tryPresent(options, target);
  if (present !== null) return present;
  const ways = waysOf(target, variant, target.platform !== 'linux' || hasGlibc());
  if (ways.unsupported !== undefined) throw new Error(ways.unsupported);
  await makeWritable(cacheDir);
  const onWaiting = (): void => report.say('Another installation is under way; waiting for it to end ...');
  return withLock(cacheDir, { signal, onWaiting }, async (held) => {
    const locked = { ...options, signal: held };
    const made = await tryPresent(locked, target);
    if (made !== null) return made;
    if ((await removeStaleStaging(cacheDir)) > 0)
      report.say('Removed what a broken-off installation had left.');
    const noRoom = await diskSentence(cacheDir, variant);
    if (noRoom !== null) throw new Error(noRoom);
    const key = engineCacheKey(target, variant);
    try {
      const installed = await build(locked, target, ways);
      await forgetFailure(cacheDir, key);
      return installed;
    } catch (error) {
      // Nor is it a failure to be remembered where somebody else has taken over.
      held.throwIfAborted();
      const failure = asNotInstalled(error, cacheDir);
      await rememberFailure(cacheDir, { key, atMs: Date.now(), why: failure.why });
      throw failure;
    }
  });
}

async function build(options: InstallOptions, target: Target, ways: Ways): Promise<Installed> {
  const { variant, cacheDir, signal, report } = options;
  const staging = await newStaging(cacheDir);
  const wheelsDir = join(cacheDir, '.wheels');
  try {
    const headers = nodeHeadersDir(process.execPath, process.versions.node, process.env.npm_config_nodedir);
    await writePackage(staging, variant, headers);
    report.say(`Installing ${packageOf(variant)} ${TFJS_VERSION} with npm ...`);
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const ran = await whileRunning(
      (elapsedMs) => report.update(timeLine(elapsedMs, USUAL_NPM_MS)),
      () => npm(staging, [...args, ...SOON_OFFLINE], { signal }),
    );
    if (ran.code !== 0) throw new Error(npmSentence(packageOf(variant), ran));

    const fails: { readonly says: string; readonly fail: string }[] = [];
    for (const way of [byDownload, byWheel]) {
      const { says, name, fail: failed } = await way({ ...options, staging, wheelsDir }, ways);
      let fail = failed;
      if (fail === null) {
        const proved = await proveStaged(options, staging);
        if (proved.ok) return await keep(options, target, staging, name, proved.probe, wheelsDir);
        fail = proved.reason;
      }
      if (meansFull(fail)) throw new Error(fullSentence(cacheDir));
      fails.push({ says, fail });
      report.say(`  ${says}: ${fail}`);
    }
    throw new NotInstalled(
      `No native TensorFlow could be installed.\n${fails.map(({ says, fail }) => `  ${says}: ${fail}`).join('\n')}\n` +
        'Training works on WebAssembly meanwhile, which needs no installation.',
      fails.at(-1)?.fail ?? 'there is no way to it',
    );
  } finally {
    await removeFolder(staging);
  }
}

async function keep(
  { cacheDir, variant, report }: InstallOptions,
  target: Target,
  staging: string,
  way: 'download' | 'wheel',
  probe: Probe,
  wheelsDir: string,
): Promise<Installed> {
  const tensorflow = probe.tensorflow ?? 'unknown';
  const folder = join(cacheDir, engineKey(target, variant, tensorflow));
  await publish(staging, folder, { format: 1, ...target, tfjs: TFJS_VERSION, tensorflow, variant, way });
  await removeFolder(wheelsDir);
  report.say(`Installed: ${folder}`);
  report.say(`It works: ${describeProbe(probe)}`);
  return { folder, probe };
}

/** Whatever went wrong while it was built, with a sentence. */
function asNotInstalled(error: unknown, cacheDir: string): NotInstalled {
  if (error instanceof NotInstalled) return error;
  const message = messageOf(error);
  const sentence = meansFull(message) ? fullSentence(cacheDir) : message;
  return new NotInstalled(sentence, sentence);
}
