import { access, constants, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { nativeCandidates } from '../candidates.ts';
import { buildFromWheel } from './build.ts';
import { bindingDir } from './cache.ts';
import { withLock } from './lock.ts';
import { nodeHeadersDir } from './node-headers.ts';
import { npm, writePackage } from './npm.ts';
import { diskSentence, findTools, missingSentence, onPath, supplierOf } from './prerequisites.ts';
import { timeLine, whileRunning, type InstallReport } from './progress.ts';
import { describeProbe, proveEngine, type Probe } from './prove.ts';
import { lastWords } from './run-program.ts';
import { newStaging, publish, removeFolder, removeStaleStaging } from './staging.ts';
import {
  engineKey,
  hasGlibc,
  packageOf,
  TFJS_VERSION,
  thisTarget,
  waysOf,
  type Target,
  type Variant,
  type Ways,
} from './target.ts';

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

const PROOF_BATCH = 8;
const USUAL_NPM_MS = 20_000;
/** The package's own download says nothing while it waits for a host that does not answer. */
const DOWNLOAD_WITHIN_MS = 15 * 60_000;

/**
 * Gets a native engine by the first way that works: one that is there, the package's own download, TensorFlow's wheel and
 * a build. No way counts before a training step has been made with it.
 * @throws Error that says for each way why it did not work
 */
export async function installEngine(options: InstallOptions): Promise<Installed> {
  const { variant, cacheDir, report } = options;
  const target = thisTarget();
  const present = await tryPresent(options, target);
  if (present !== null) return present;
  const ways = waysOf(target, variant, target.platform !== 'linux' || hasGlibc());
  if (ways.unsupported !== undefined) throw new Error(ways.unsupported);
  await makeWritable(cacheDir);
  const onWaiting = (): void => report.say('Another installation is under way; waiting for it to end ...');
  return withLock(cacheDir, { signal: options.signal, onWaiting }, async () => {
    const made = await tryPresent(options, target);
    if (made !== null) return made;
    if ((await removeStaleStaging(cacheDir)) > 0)
      report.say('Removed what a broken-off installation had left.');
    return build(options, target, ways);
  });
}

async function makeWritable(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new Error(
      `The cache folder ${folder} cannot be written to (${(error as Error).message}). ` +
        'Set XDG_CACHE_HOME to a folder that can.',
      { cause: error },
    );
  }
}

async function tryPresent(
  { variant, cacheDir, ...options }: InstallOptions,
  target: Target,
): Promise<Installed | null> {
  for (const candidate of nativeCandidates(cacheDir, target)) {
    if (candidate.package !== packageOf(variant) || candidate.missing !== null) continue;
    const folder = candidate.folder;
    const result = await proveEngine(
      options.programFile,
      { engine: 'native', package: candidate.package, folder },
      PROOF_BATCH,
      options.signal,
    );
    const where = folder ?? 'the installed packages';
    if (result.ok && (variant === 'cpu' || result.probe.gpu)) {
      options.report.say(`There already, and works: ${where}`);
      return { folder: folder ?? null, probe: result.probe };
    }
    options.report.say(`${where}: ${result.ok ? 'it finds no GPU' : result.reason}`);
  }
  return null;
}

async function build(options: InstallOptions, target: Target, ways: Ways): Promise<Installed> {
  const { variant, cacheDir, signal, report } = options;
  const noRoom = await diskSentence(cacheDir, variant);
  if (noRoom !== null) throw new Error(noRoom);
  const staging = await newStaging(cacheDir);
  const wheelsDir = join(cacheDir, '.wheels');
  try {
    const headers = nodeHeadersDir(process.execPath, process.versions.node, process.env.npm_config_nodedir);
    await writePackage(staging, variant, headers);
    report.say(`Installing ${packageOf(variant)} ${TFJS_VERSION} with npm ...`);
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const ran = await whileRunning(
      (elapsedMs) => report.update(timeLine(elapsedMs, USUAL_NPM_MS)),
      () => npm(staging, args, { signal }),
    );
    if (ran.code !== 0) throw new Error(`npm could not install ${packageOf(variant)}: ${lastWords(ran)}`);

    const fails: string[] = [];
    for (const way of [byDownload, byWheel]) {
      const outcome = await way({ ...options, staging, wheelsDir }, ways);
      if (outcome.fail === undefined) {
        const proved = await prove(options, staging);
        if (proved.ok) return await keep(options, target, staging, outcome.way, proved.probe, wheelsDir);
        fails.push(`${outcome.says}: ${proved.reason}`);
      } else {
        fails.push(`${outcome.says}: ${outcome.fail}`);
      }
      report.say(`  ${fails.at(-1) ?? ''}`);
    }
    throw new Error(
      `No native TensorFlow could be installed.\n${fails.map((fail) => `  ${fail}`).join('\n')}\n` +
        'Training works on WebAssembly meanwhile, which needs no installation.',
    );
  } finally {
    await removeFolder(staging);
  }
}

interface WayOptions extends InstallOptions {
  readonly staging: string;
  readonly wheelsDir: string;
}
interface Outcome {
  readonly way: 'download' | 'wheel';
  readonly says: string;
  readonly fail?: string;
}

async function byDownload({ staging, signal, report, variant }: WayOptions, ways: Ways): Promise<Outcome> {
  const outcome = { way: 'download', says: "The package's own download" } as const;
  if (!ways.download) return { ...outcome, fail: 'there is none for this platform' };
  report.say(`${outcome.says} ...`);
  const limit = AbortSignal.timeout(DOWNLOAD_WITHIN_MS);
  try {
    const ran = await whileRunning(
      (elapsedMs) => report.update(`${(elapsedMs / 1000).toFixed(0)} s`),
      () => npm(staging, ['run', 'download-addon'], { signal: AbortSignal.any([signal, limit]) }),
    );
    return ran.code === 0 ? outcome : { ...outcome, fail: lastWords(ran) };
  } catch (error) {
    signal.throwIfAborted();
    if (!limit.aborted) throw error;
    return {
      ...outcome,
      fail: `not done within ${DOWNLOAD_WITHIN_MS / 60_000} minutes (${bindingDir(staging, variant)})`,
    };
  }
}

async function byWheel(options: WayOptions, ways: Ways): Promise<Outcome> {
  const outcome = { way: 'wheel', says: "TensorFlow's wheel from PyPI and a build" } as const;
  const { wheel } = ways;
  if (wheel === null) return { ...outcome, fail: 'there is none for this platform' };
  const { python, missing } = await findTools(process.env, options.signal);
  if (python === null || missing.length > 0) {
    const supplier = supplierOf(process.platform, onPath(process.env));
    return { ...outcome, fail: missing.map((each) => `\n    ${missingSentence(each, supplier)}`).join('') };
  }
  try {
    await buildFromWheel({ ...options, folder: options.staging, wheel, python });
    return outcome;
  } catch (error) {
    options.signal.throwIfAborted();
    return { ...outcome, fail: error instanceof Error ? error.message : String(error) };
  }
}

async function prove(
  { programFile, variant, signal, report }: InstallOptions,
  folder: string,
): Promise<{ ok: true; probe: Probe } | { ok: false; reason: string }> {
  report.say('Trying a training step ...');
  const target = { engine: 'native', package: packageOf(variant), folder } as const;
  const result = await proveEngine(programFile, target, PROOF_BATCH, signal);
  if (result.ok && variant === 'gpu' && !result.probe.gpu) return { ok: false, reason: 'it finds no GPU' };
  return result;
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
