import { systemClock } from '../shared/util/clock.ts';
import type { LogFormat } from '../coordinator/report/log.ts';
import type { EngineChoice, InstallNative } from '../shared/engine/engine-choice.ts';
import {
  prepareRun,
  RunFinishedError,
  type PrepareRunFlags,
  type PreparedRun,
} from '../coordinator/training/prepare-run.ts';
import { checkModel, warnOfShardStatistics } from '../coordinator/model/check-model.ts';
import { userCacheDir } from '../coordinator/data/load-dataset.ts';
import { EXIT_INTERRUPTED, waitForInterrupt, handleInterrupts } from './interrupt.ts';
import { parseCodecRule } from '../coordinator/links/codecs.ts';
import { resolveWorkerCount, type CliContext } from './context.ts';
import { createReporter } from '../coordinator/report/create-reporter.ts';
import {
  printDataset,
  printSummary,
  printResumeHint,
  type TestScores,
} from '../coordinator/report/summary.ts';
import { printAddresses, printServingUrl } from '../coordinator/report/addresses.ts';
import { combineListeners } from '../coordinator/report/reporter.ts';
import { certificateFor } from '../coordinator/server/tls.ts';
import { saveModel } from '../coordinator/run/model-folder.ts';
import { CheckpointWriter } from '../coordinator/run/checkpoint-writer.ts';
import { EpochSaver, type RunFolder } from '../coordinator/run/run-folder.ts';
import { removeEarlierCheckpoints } from '../coordinator/run/checkpoint.ts';
import { saveStoppedRun } from '../coordinator/training/save-stopped.ts';
import { train } from '../coordinator/training/train.ts';
import { withCoordinator } from '../coordinator/training/run-session.ts';
import { setFlagsFromString } from 'node:v8';

export interface TrainFlags extends PrepareRunFlags {
  /** Which it was given to. */
  readonly command: 'train' | 'coordinator';
  readonly host: string;
  readonly port: number;
  readonly token?: string;
  /** One of LINK_CODECS, or auto. */
  readonly codec: string;
  readonly https?: boolean;
  readonly cert?: string;
  readonly key?: string;
  readonly engine: EngineChoice;
  readonly installNative: InstallNative;
  /** Local ones; 0 leaves it to others to join. */
  readonly workers: number | 'auto';
  readonly minWorkers?: number;
  readonly audit?: number;
  /** Serve the page after the end until the person ends it. */
  readonly keepOpen?: boolean;
  readonly log: LogFormat;
}

/** What a run writes to. */
interface RunOutput {
  readonly folder: RunFolder;
  readonly checkpoints: CheckpointWriter;
}

/**
 * A whole run: data, model, workers, training, and what is left on disk.
 * @returns the exit code
 */
export async function runTrain(flags: TrainFlags, program: CliContext): Promise<number> {
  growHeap();
  const clock = systemClock(globalThis);
  const report = createReporter(process.stdout, clock, flags.log);
  const interrupt = handleInterrupts(report);
  // Read anew each time: it changes while others are awaited.
  const stopping = (): boolean => interrupt.signal.aborted;
  const made = { begun: null as PreparedRun | null, opened: null as RunOutput | null, served: false };
  try {
    checkExact(flags);
    const tls = await certificateFor(flags, userCacheDir(), new Date());
    const begun = await prepareRun(flags, report, interrupt.signal);
    made.begun = begun;
    const { dataset, job, weights, optimizer, resumeFrom, history, engineFingerprint } = begun;
    if (job.microShard !== undefined) checkExact({ ...flags, exact: true });
    printDataset(dataset, report);
    await checkModel(begun, flags.model !== undefined, program, report);
    if (flags.workers !== 0) {
      report.close();
      await program.prepareEngine(flags.engine, interrupt.signal);
      if (stopping()) return EXIT_INTERRUPTED;
    }
    const threads = job.microShard === undefined ? undefined : 1;
    const note = (line: string): void => report.info(line);
    const workers = await resolveWorkerCount(flags, program, { note, signal: interrupt.signal, threads });
    if (stopping()) return EXIT_INTERRUPTED;
    warnOfShardStatistics(job, { ...flags, workers }, report);
    const { trained, measured, folder, checkpointed } = await withCoordinator(
      {
        ...flags,
        workers,
        // What --exact adds up may not be rounded on the way.
        codecs: parseCodecRule(job.microShard === undefined ? flags.codec : 'float32'),
        job,
        history,
        engineFingerprint,
        tls,
        program,
        clock,
        report,
        interrupt,
        async onOpen(coordinator) {
          // Not before the port is open: a run that cannot start leaves nothing behind.
          const folder = await begun.openFolder();
          const checkpoints = new CheckpointWriter({
            dir: folder.checkpointDir,
            every: begun.checkpointEvery,
            job,
            dataDigest: begun.dataDigest,
            vectors: { weights, ...optimizer.state },
            engineFingerprint: () => coordinator.engineFingerprints?.expected ?? null,
            clock,
            write: { beforeReplace: () => folder.lock.check() },
            warn: (line) => report.warn(line),
          });
          made.opened = { folder, checkpoints };
          if (resumeFrom === undefined) {
            await folder.writeConfig(createRunConfig({ ...flags, workers }, begun, program));
            await checkpoints.writeInitial();
          }
          const seen = process.stdout.isTTY && flags.log === 'text';
          printAddresses(coordinator.urls, { ...flags, tls }, program, report, seen);
        },
      },
      async ({ stepRunner, pool, feed, metrics, bottleneckReporter }) => {
        const { folder, checkpoints } = made.opened as RunOutput;
        const save = (epochs: number, measured: TestScores | null): Promise<void> =>
          saveWeights(folder, begun, program, epochs, measured);
        const epochs = new EpochSaver({
          folder,
          saveModel: (record) => save(record.epoch, record),
          warn: (line) => report.warn(line),
        });
        const training = train({
          job,
          dataset,
          optimizer,
          stepRunner,
          pool,
          report: combineListeners(
            combineListeners(report, bottleneckReporter),
            combineListeners(feed, metrics),
          ),
          clock,
          signal: interrupt.signal,
          save: (record) => epochs.save(record),
          ...(resumeFrom === undefined ? {} : { resumeFrom }),
          checkpoint: (...at) => checkpoints.record(...at),
        });
        const trained = await Promise.race([training, rejectWhenLockLost(folder.lock.lost)]);
        let measured: TestScores | null = trained.last;
        if (stopping() && trained.steps > 0) {
          const stopped = { trained, job, dataset, weights, stepRunner, report };
          measured = await saveStoppedRun({ ...stopped, save: (known) => save(trained.epochs, known) });
        } else {
          epochs.assertSaved();
          await removeEarlierCheckpoints(folder.checkpointDir, trained.steps);
        }
        return {
          trained,
          measured,
          folder,
          checkpointed: checkpoints.hasWritten || resumeFrom !== undefined,
        };
      },
      flags.keepOpen !== true
        ? undefined
        : async ({ urls }, { measured, folder }) => {
            made.served = true;
            report.close();
            printSummary(measured, folder, { ...flags, transpose: dataset.isTransposed }, program, report);
            await begun.release();
            // From here on Ctrl-C is the way to end, and nothing is left to be saved.
            interrupt.dispose();
            const seen = process.stdout.isTTY && flags.log === 'text';
            printServingUrl(urls, flags.token, report, seen);
            await waitForInterrupt();
          },
    );
    if (made.served) return 0;
    report.close();
    if (trained.steps === 0) report.info('Stopped before the first step; there is no model.');
    else printSummary(measured, folder, { ...flags, transpose: dataset.isTransposed }, program, report);
    if (stopping() && trained.steps > 0 && checkpointed) printResumeHint(folder, flags, program, report);
    return stopping() ? EXIT_INTERRUPTED : 0;
  } catch (error) {
    if (error instanceof RunFinishedError) {
      report.info(error.message);
      return 0;
    }
    // Of what heeds the signal, nothing has been begun yet.
    if (error === interrupt.signal.reason) return EXIT_INTERRUPTED;
    throw error;
  } finally {
    if (flags.resume === undefined) await made.opened?.folder.discardIfUnused();
    await made.begun?.release();
    report.close();
    interrupt.dispose();
  }
}

/** Rejects when another process has taken the run's folder. */
function rejectWhenLockLost(lost: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(lost.reason as Error);
    lost.addEventListener('abort', fail);
    if (lost.aborted) fail();
  });
}

function saveWeights(
  folder: RunFolder,
  { job, weights, weightNames: names, dataset }: PreparedRun,
  program: CliContext,
  epochs: number,
  measured: TestScores | null,
): Promise<void> {
  const { topology, ...rest } = job;
  const metadata = {
    gradcast: program.version,
    dataDescription: dataset.description,
    epochs,
    val_loss: measured?.val_loss ?? null,
    val_accuracy: measured?.val_accuracy ?? null,
    job: rest,
  };
  return saveModel(
    folder.modelDir,
    { metadata, topology, weights, names },
    { beforeReplace: () => folder.lock.check() },
  );
}

/** @throws Error if rounding would depend on who takes part */
function checkExact({ exact, codec }: Pick<TrainFlags, 'exact' | 'codec'>): void {
  if (exact !== true || codec === 'float32' || codec === 'auto') return;
  throw new Error(
    `--exact needs --codec float32: ${codec} rounds, and what is lost depends on who sends it.`,
  );
}

/**
 * Has V8 wait until five times of what lives is there before it collects the whole heap; for this process, from the next
 * collection on. Each step moves some 5 MB a worker through buffers outside of a heap of 20 MB: by itself V8 collects it all at
 * every step of two workers or more, on as many threads as there are cores, while workers compute on them.
 */
export function growHeap(): void {
  setFlagsFromString('--heap-growing-percent=400');
}

/** The contents of config.json: everything that the run can be repeated with, but no secret. */
export function createRunConfig(
  flags: TrainFlags,
  { job, dataset, checkpointEvery }: Pick<PreparedRun, 'job' | 'dataset' | 'checkpointEvery'>,
  { version }: Pick<CliContext, 'version'>,
): object {
  const { token, ...rest } = flags;
  return {
    gradcast: version,
    node: process.version,
    started: new Date().toISOString(),
    ...rest,
    epochs: job.epochs,
    checkpointEvery,
    optimizer: job.optimizer,
    token: token === undefined ? 'none' : 'set',
    dataset: { name: dataset.name, description: dataset.description },
  };
}
