import { clockOf } from '../shared/clock.ts';
import type { LogFormat } from '../shared/json-log.ts';
import type { Dataset } from '../shared/data/dataset.ts';
import type { EngineChoice, InstallNative } from '../shared/engine/engine-choice.ts';
import type { EpochRecord } from '../shared/protocol/messages.ts';
import { beginRun, type BeginFlags, type Begun } from './begin.ts';
import { growHeap } from './heap.ts';
import { INTERRUPTED, interruptible } from './interrupt.ts';
import { codecRule } from './members/link-codecs.ts';
import { localWorkers, type Program } from './program.ts';
import { createReport } from './report/create.ts';
import { sayAddresses } from './report/say-addresses.ts';
import { sayEnd, sayGoOn } from './report/say-end.ts';
import { both, type Report } from './report/report.ts';
import { certificateFor } from './server/certificate.ts';
import { userCacheDir } from './storage/dataset.ts';
import { saveModel } from './storage/model-folder.ts';
import { CheckpointWriter, type CheckpointInterval } from './storage/checkpoint-writer.ts';
import { EpochSaver } from './storage/epoch-saver.ts';
import type { RunFolder } from './storage/run-folder.ts';
import { train, type Trained } from './training/train.ts';
import { withWorkers } from './with-workers.ts';

export interface TrainFlags extends BeginFlags {
  /** Which it was given to. */
  readonly command: 'train' | 'coordinator';
  readonly checkpointEvery: CheckpointInterval;
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
  readonly log: LogFormat;
}

/** What a run writes to. */
interface Opened {
  readonly folder: RunFolder;
  readonly checkpoints: CheckpointWriter;
}

/**
 * A whole run: data, model, workers, training, and what is left on disk.
 * @returns the exit code
 */
export async function runTrain(flags: TrainFlags, program: Program): Promise<number> {
  growHeap();
  const clock = clockOf(globalThis);
  const report = createReport(process.stdout, clock, flags.log);
  const interrupt = interruptible(report);
  // Read anew each time: it changes while others are awaited.
  const stopping = (): boolean => interrupt.signal.aborted;
  const made: { begun: Begun | null; opened: Opened | null } = { begun: null, opened: null };
  try {
    checkExact(flags);
    const tls = await certificateFor(flags, userCacheDir(), new Date());
    const begun = await beginRun(flags, report, interrupt.signal);
    made.begun = begun;
    const { dataset, job, weights, optimizer, start, history, knownAnswer } = begun;
    if (job.microShard !== undefined) checkExact({ ...flags, exact: true });
    if (start !== undefined && start.position.epoch > job.epochs) {
      report.info(`That run is done: ${job.epochs} epochs. Give more --epochs to go on with it.`);
      return 0;
    }
    sayData(dataset, report);
    if (flags.workers !== 0) {
      report.close();
      await program.prepareEngine(flags.engine, interrupt.signal);
      if (stopping()) return INTERRUPTED;
    }
    const threads = job.microShard === undefined ? undefined : 1;
    const note = (line: string): void => report.info(line);
    const workers = await localWorkers(flags, program, { note, signal: interrupt.signal, threads });
    if (stopping()) return INTERRUPTED;
    const { trained, folder, checkpointed } = await withWorkers(
      {
        ...flags,
        workers,
        // What --exact adds up may not be rounded on the way.
        codecs: codecRule(job.microShard === undefined ? flags.codec : 'float32'),
        ...{ job, history, knownAnswer },
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
            every: flags.checkpointEvery,
            job,
            dataDigest: begun.dataDigest,
            vectors: { weights, ...optimizer.state },
            knownAnswer: () => coordinator.knownAnswers?.expected ?? null,
            clock,
            warn: (line) => report.warn(line),
          });
          made.opened = { folder, checkpoints };
          if (start === undefined) {
            await folder.writeConfig(configOf({ ...flags, workers }, begun, program));
            await checkpoints.begin();
          }
          const seen = process.stdout.isTTY && flags.log === 'text';
          sayAddresses(coordinator.urls, { ...flags, tls }, program, report, seen);
        },
      },
      async ({ rounds, pool, feed, metrics, advisor }) => {
        const { folder, checkpoints } = made.opened as Opened;
        const save = (epochs: number, last: EpochRecord | null): Promise<void> =>
          saveWeights(folder, begun, program, { epochs, last });
        const epochs = new EpochSaver({
          folder,
          saveModel: (record) => save(record.epoch, record),
          warn: (line) => report.warn(line),
        });
        const trained = await train({
          job,
          dataset,
          weights,
          optimizer,
          rounds,
          pool,
          report: both(both(report, advisor), both(feed, metrics)),
          clock,
          signal: interrupt.signal,
          save: (record) => epochs.save(record),
          ...(start === undefined ? {} : { start }),
          checkpoint: (...at) => checkpoints.at(...at),
        });
        if (stopping() && trained.steps > 0) await save(trained.epochs, trained.last);
        else epochs.check();
        return { trained, folder, checkpointed: checkpoints.written || start !== undefined };
      },
    );
    report.close();
    if (trained.steps === 0) report.info('Stopped before the first step; there is no model.');
    else sayEnd(trained, folder, { ...flags, transpose: begun.dataset.isTransposed }, program, report);
    if (stopping() && trained.steps > 0 && checkpointed) sayGoOn(folder, flags, program, report);
    return stopping() ? INTERRUPTED : 0;
  } catch (error) {
    // Of what heeds the signal, nothing has been begun yet.
    if (error === interrupt.signal.reason) return INTERRUPTED;
    throw error;
  } finally {
    if (flags.resume === undefined) await made.opened?.folder.discard();
    await made.begun?.release();
    report.close();
    interrupt.dispose();
  }
}

function saveWeights(
  folder: RunFolder,
  { job, weights, weightNames: names, dataset }: Begun,
  program: Program,
  { epochs, last }: Pick<Trained, 'epochs' | 'last'>,
): Promise<void> {
  const { topology, ...rest } = job;
  const metadata = {
    gradcast: program.version,
    dataDescription: dataset.description,
    epochs,
    val_loss: last?.val_loss ?? null,
    val_accuracy: last?.val_accuracy ?? null,
    job: rest,
  };
  return saveModel(folder.modelDir, { metadata, topology, weights, names });
}

/** @throws Error if rounding would depend on who takes part */
function checkExact({ exact, codec }: Pick<TrainFlags, 'exact' | 'codec'>): void {
  if (exact !== true || codec === 'float32' || codec === 'auto') return;
  throw new Error(
    `--exact needs --codec float32: ${codec} rounds, and what is lost depends on who sends it.`,
  );
}

/** What config.json keeps: everything that the run can be repeated with, but no secret. */
function configOf(flags: TrainFlags, { job, dataset }: Begun, program: Program): object {
  const { token, ...rest } = flags;
  return {
    gradcast: program.version,
    node: process.version,
    started: new Date().toISOString(),
    ...rest,
    epochs: job.epochs,
    token: token === undefined ? 'none' : 'set',
    dataset: { name: dataset.name, description: dataset.description },
  };
}

function sayData({ name, description, train: training, test, sampleShape }: Dataset, report: Report): void {
  if (name === 'drawn-digits') report.warn(description);
  else report.info(description);
  report.info(`x_train shape: (${[training.count, ...sampleShape].join(', ')})`);
  report.info(`x_test shape: (${[test.count, ...sampleShape].join(', ')})`);
  report.info(`Train on ${training.count} samples, validate on ${test.count} samples`);
}
