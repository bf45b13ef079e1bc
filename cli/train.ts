import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Option, type Command } from 'commander';
import type { CodecOption } from '../coordinator/api/train.ts';
import type { TrainedModel } from '../coordinator/api/trained-model.ts';
import type { CallbackOptions } from '../coordinator/callbacks/from-options.ts';
import type { DataFlags } from '../coordinator/data/load-dataset.ts';
import type { ClassWeights } from '../coordinator/data/class-weights.ts';
import type { OptimizerOptions } from '../coordinator/optimizer/hyperparameters.ts';
import type { LogFormat } from '../coordinator/report/log.ts';
import type { SummaryFlags } from '../coordinator/report/summary.ts';
import type { CheckpointInterval } from '../coordinator/run/checkpoint-writer.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { WorkerCount } from '../worker-node/autotune/choose-worker-count.ts';
import type { Job } from '../shared/model/job.ts';
import { isInteractive } from '../shared/util/terminal.ts';
import { systemClock } from '../shared/util/clock.ts';
import { flagName } from '../shared/util/option-names.ts';
import { addCallbackOptions } from './callback-options.ts';
import { resolveWorkerCount, type CliContext } from './context.ts';
import { urlFileOption } from './coordinator-place.ts';
import { asStream, requireNativeEngine } from './engine.ts';
import { IMAGE_FLAG_KEYS, imageOptions } from './image-options.ts';
import { interruptWithNotice, waitForInterrupt } from './interrupt.ts';
import { addOptimizerOptions, OPTIMIZER_FLAG_KEYS, readOptimizerFlags } from './optimizer-options.ts';
import {
  classWeights,
  codecOption,
  customOption,
  dataOption,
  DEFAULT_ADDRESSES,
  engineOption,
  exportOption,
  fraction,
  integer,
  interval,
  localWorkersOption,
  threadsOption,
  logOption,
  nameList,
  tableOptions,
  tokenOption,
  transposeOption,
  trustOption,
} from './options.ts';
import { addTaskArgument, readRunFlags, withCallbacks, type OwnParts } from './task-flags.ts';
import { ExitCode } from '../shared/util/exit-codes.ts';

/** Flags of `gradcast train` and `gradcast coordinator`, which config.json records. */
export interface TrainFlags extends CallbackOptions, DataFlags {
  readonly command: 'train' | 'coordinator';
  readonly epochs?: number;
  readonly batchSize?: number;
  readonly model?: string;
  readonly weights?: string;
  readonly loss?: string;
  readonly metrics?: readonly string[];
  /** File with layers, losses and metrics of the user. */
  readonly custom?: string;
  /** Hashes of custom code that a resumed run may run. */
  readonly trust?: readonly string[];
  readonly classWeights?: ClassWeights;
  /** Optimizer, or changes of the one that the model was compiled with. */
  readonly optimizer?: OptimizerOptions;
  readonly exact?: boolean;
  readonly microShard: number;
  readonly out?: string;
  readonly resume?: string;
  readonly resumeOrStart?: string;
  /** File for the address of the coordinator. */
  readonly urlFile?: string;
  readonly checkpointEvery?: CheckpointInterval;
  readonly audit?: number;
  readonly codec: string;
  readonly token?: string;
  readonly host: string;
  readonly port: number;
  readonly https?: boolean;
  readonly cert?: string;
  readonly key?: string;
  readonly engine: EngineChoice;
  /** Number of local workers; 0 for none. */
  readonly workers: number | 'auto';
  /** Threads of each local worker's engine. */
  readonly threads?: number;
  readonly minWorkers?: number;
  readonly maxWorkers?: number;
  /** Whether the page is served after the end, until a signal. */
  readonly keepOpen?: boolean;
  readonly log: LogFormat;
  /** Formats and files in which the trained model is written besides. */
  readonly export?: readonly string[];
}

const DEFAULT_SEED = 1337;

/** Adds the options that `train` and `coordinator` share. */
export function addTrainingOptions(command: Command): Command {
  command
    .optionsGroup('Model and training:')
    .option('--epochs <n>', 'passes over the training samples (default: 12)', integer(1, 1_000_000))
    .option(
      '--batch-size <n>',
      'samples a step (default: 128; fewer for a small table or text)',
      integer(1, 1_000_000),
    )
    .addOption(
      new Option('--seed <n>', 'fixes initial weights, order and dropout')
        .argParser(integer(0, 2 ** 32 - 1))
        .default(DEFAULT_SEED),
    )
    .option(
      '--model <file>',
      'train this model instead of the MNIST CNN: .keras, .h5, or JSON of Keras or TensorFlow.js; with its weights, if it has any',
    )
    .option(
      '--weights <file>',
      'start from these weights of the model of --model: a .weights.h5, .h5 or .keras file',
    )
    .option(
      '--loss <name>',
      "loss by Keras' name, such as mse (default: by the model's last activation and the data)",
    )
    .option(
      '--metrics <names>',
      "metrics by Keras' names: accuracy,auc (default: accuracy for classes, mae for values)",
      nameList,
    )
    .option(
      '--class-weights <list>',
      'weights of training samples by class: 0:1,1:5 (default: 1)',
      classWeights,
    )
    .addOption(customOption())
    .addOption(trustOption('a resumed run'))
    .option(
      '--exact',
      'the same bits for any number of workers, whenever they join and leave: docs/decisions/0022-exact-mode.md',
    )
    .option('--micro-shard <n>', 'samples that --exact computes at a time', integer(1, 65_536), 16);
  command
    .optionsGroup('Data:')
    .addOption(dataOption())
    .option('--limit <n>', 'train on the first n samples only, for a quick look', integer(1))
    .addOption(transposeOption());
  for (const option of [...tableOptions(), ...imageOptions()]) command.addOption(option);
  command
    .optionsGroup('Run:')
    .option('--out <dir>', 'folder for model, history and config (default: runs/<date>-<id>)')
    .addOption(exportOption())
    .addOption(
      new Option(
        '--resume <dir>',
        'resume a run from its last checkpoint, with its optimizer, loss and metrics; repeat --codec, --audit and --token',
      ).conflicts([
        ...['out', 'limit', 'model', 'weights', 'batchSize', 'seed', 'exact', 'microShard', 'transpose'],
        ...IMAGE_FLAG_KEYS,
      ]),
    )
    .addOption(
      new Option(
        '--resume-or-start <dir>',
        'resume the run in this folder if it has a checkpoint, else start one there; for schedulers that repeat a command',
      ).conflicts(['out', 'resume']),
    )
    .addOption(
      new Option(
        '--checkpoint-every <n>',
        'save a checkpoint every 500 steps, 30s or 5m (default: 5m; with --resume: as before)',
      ).argParser(interval),
    )
    .option('--keep-open', 'after the end, serve the page with the trained model until Ctrl-C')
    .addOption(logOption());
  command
    .optionsGroup('Workers:')
    .addOption(codecOption())
    .option(
      '--audit <part>',
      'part of the shards, such as 0.02, to recompute before they count, besides the few that always are',
      fraction,
    );
  command
    .optionsGroup('Network:')
    .addOption(tokenOption())
    .addOption(
      urlFileOption(
        'write the address and the token, by default a random one, to this file for workers on a shared disk; at the end it says `finished`',
      ),
    )
    .option('--https', 'serve https and wss; without --cert, with a self-signed certificate')
    .option('--cert <file>', 'certificate for https, followed by its chain (PEM)')
    .option('--key <file>', 'key of the certificate (PEM)');
  return addCallbackOptions(addOptimizerOptions(command));
}

/** Flags of a run with its optimizer in place of the options that choose it. @throws the errors of readOptimizerFlags */
export function withOptimizer<Flags extends object>(flags: Flags): Flags {
  const parsed = flags as Record<string, unknown>;
  const others = Object.entries(parsed).filter(([key]) => !OPTIMIZER_FLAG_KEYS.includes(key));
  const optimizer = readOptimizerFlags(parsed);
  return { ...Object.fromEntries(others), ...(optimizer === undefined ? {} : { optimizer }) } as Flags;
}

/** `gradcast train`: a coordinator, and workers in processes of their own. */
export function addTrain(cli: Command, context: CliContext): void {
  addTaskArgument(addTrainingOptions(cli.command('train')))
    .summary('train, with workers on this machine')
    .description(
      'Train on this machine: a coordinator, and workers in processes of their own. Other machines may join.',
    )
    .optionsGroup('Workers:')
    .addOption(localWorkersOption())
    .addOption(threadsOption())
    .addOption(engineOption('engine of the local workers'))
    .optionsGroup('Network:')
    .option('--host <address>', 'address to listen on', DEFAULT_ADDRESSES.train.host)
    .option(
      '--port <n>',
      'port to listen on; 0 takes a free one',
      integer(0, 65535),
      DEFAULT_ADDRESSES.train.port,
    )
    .addHelpText(
      'after',
      `
Examples:
  gradcast train                             the MNIST CNN, 12 epochs
  gradcast train --epochs 1 --limit 6000     a quick look
  gradcast train task.ts                     what a file describes: gradcast init makes one
  gradcast train task.ts --epochs 3 --optimizer adam
  gradcast train --data fashion-mnist/       any data set of IDX files
  gradcast train --data iris.csv --target species
  gradcast train --data shakespeare.txt      a model of its characters
  gradcast train --data photos/              folders of images, one a class
  gradcast train --model model.keras         a model of Keras, with its weights
  gradcast train --model model.json --weights model.weights.h5
  gradcast train --optimizer adamw --learning-rate 3e-4 --weight-decay 0.01 --no-decay bias
  gradcast train --optimizer sgd --momentum 0.9 --nesterov --schedule cosine --warmup-steps 100
  gradcast train --export onnx savedmodel    the trained model also for ONNX Runtime and TensorFlow
  gradcast train --epochs 100 --early-stopping patience=5,metric=val_accuracy --save-best
  gradcast train --tensorboard logs/first --csv-log history.csv      then: tensorboard --logdir logs
  gradcast train --webhook https://example.com/hook          GRADCAST_WEBHOOK_SECRET signs the requests
  gradcast train --resume runs/2026-01-31-k3v9qd            resume a run that was stopped or crashed
  gradcast train --host 0.0.0.0 --port 2718 --token s3cret    other machines may join`,
    )
    .action(async (file: string | undefined, given: Omit<TrainFlags, 'command'>, command: Command) => {
      const { flags, own } =
        file === undefined
          ? { flags: withOptimizer(given) }
          : await readRunFlags(file, given, command, context.prepare);
      process.exitCode = await runTrain({ ...flags, command: 'train' }, context, own);
    });
}

/** Address of a run where it is not that of its command. */
function ownAddress({ command, host, port }: TrainFlags): Pick<SummaryFlags, 'host' | 'port'> {
  const usual = DEFAULT_ADDRESSES[command];
  return {
    host: host === usual.host ? undefined : host,
    port: port === usual.port ? undefined : port,
  };
}

/** A run whose workers read the token in a file is never open to others: without --token it has a random one. */
const withTokenForFile = (flags: TrainFlags): TrainFlags =>
  flags.urlFile === undefined || flags.token !== undefined
    ? flags
    : { ...flags, token: randomBytes(16).toString('base64url') };

/**
 * Runs `train` and `coordinator`.
 * @param own parts of a task file that are no flags
 * @returns the exit code
 */
export async function runTrain(given: TrainFlags, context: CliContext, own: OwnParts = {}): Promise<number> {
  const flags = withTokenForFile(given);
  await context.prepare();
  const [library, { growHeap }, { callbacksFrom, withoutSecrets }, { createReporter }, summary, addresses] =
    await Promise.all([
      import('../coordinator/index.ts'),
      import('../coordinator/commands/run-training.ts'),
      import('../coordinator/callbacks/from-options.ts'),
      import('../coordinator/report/create-reporter.ts'),
      import('../coordinator/report/summary.ts'),
      import('../coordinator/report/addresses.ts'),
    ]);
  const [{ describeCurves }, { curveStyle }] = await Promise.all([
    import('../coordinator/run/describe-runs.ts'),
    import('../coordinator/report/curve.ts'),
  ]);
  const callbacks = withCallbacks(own.callbacks, callbacksFrom(flags));
  growHeap();
  const clock = systemClock(globalThis);
  const report = createReporter(process.stdout, clock, flags.log);
  const interrupt = interruptWithNotice(report, () =>
    run.steps > 0 ? 'Stopping; the trained model is saved.' : 'Stopping; no step is finished yet.',
  );
  const { signal } = interrupt;
  // A log is read by others, and a QR code is for a camera in front of a screen.
  const isScreen = isInteractive(process.stdout, process.env) && flags.log === 'text';
  // It goes on after the run.
  const served =
    flags.keepOpen === true
      ? library.createCoordinator({
          token: flags.token,
          maxWorkers: flags.maxWorkers,
          maxRuns: 1,
          mayRestart: true,
          optionName: flagName,
        })
      : undefined;
  const listening = { hasBegun: false };

  const { resume, resumeOrStart, urlFile, host, port, token, https, cert, key } = flags;
  // A resumed run keeps the settings whose flags have defaults.
  const { batchSize, seed, microShard, exact } = flags;
  const withDefaults = { batchSize, seed, ...(exact === true ? { exact, microShard } : {}) };
  const { model = own.model, weights, loss, metrics, classWeights, optimizer, epochs } = flags;
  const { lossWeights } = own;
  const ofPerson = flags.custom === undefined ? {} : { customObjects: flags.custom };
  const chosen = { model, weights, loss, lossWeights, metrics, classWeights, optimizer, epochs, callbacks };
  const { format, limit, transpose, imageSize, channels, fit } = flags;
  const { validationSplit, target, ignore, types, tokenizer, sequenceLength } = flags;
  const data = {
    source: flags.data,
    test: flags.testData,
    ...{ format, limit, transpose, imageSize, channels, fit },
    ...{ validationSplit, target, ignore, types, tokenizer, sequenceLength },
  };
  const isTls = https === true || cert !== undefined || key !== undefined;
  const run = library.train(
    { ...chosen, ...ofPerson, ...(resume === undefined ? withDefaults : {}), data: own.data ?? data },
    {
      workers: chooseWorkerCount,
      engine: flags.engine,
      codec: flags.codec as CodecOption,
      ...(served === undefined ? { token, maxWorkers: flags.maxWorkers } : { coordinator: served }),
      host,
      port,
      ...(isTls ? { https: { cert, key } } : {}),
      minWorkers: flags.minWorkers,
      audit: flags.audit,
      ...(resumeOrStart !== undefined
        ? { resumeOrStart }
        : resume === undefined
          ? { out: flags.out ?? true }
          : { resume }),
      ...(flags.trust === undefined ? {} : { trust: flags.trust }),
      checkpointEvery: flags.checkpointEvery,
      reporter: report,
      signal,
      isTerminated: () => interrupt.stoppedBy === 'SIGTERM',
      config: { ...withoutSecrets(flags), task: own.file },
      export: flags.export,
      optionName: flagName,
      async onListening({ urls, certificate: tls }) {
        listening.hasBegun = true;
        if (urlFile !== undefined) await addresses.writeUrlFile(urlFile, urls, { token, tls });
        addresses.printAddresses(urls, { ...flags, tls }, context, report, isScreen);
      },
    },
  );

  async function chooseWorkerCount({ microShard }: Job): Promise<WorkerCount> {
    if (flags.workers !== 0) {
      report.close();
      const progress = flags.log === 'json' ? asStream((line) => report.info(line)) : process.stderr;
      if (flags.engine === 'native') await requireNativeEngine(context, signal, progress);
      if (signal.aborted) return { workers: 0 };
    }
    const isExact = microShard !== undefined;
    const threads = flags.threads ?? (isExact ? 1 : undefined);
    const note = (line: string): void => report.info(line);
    return resolveWorkerCount({ ...flags, threads, isExact, note, signal }, context);
  }
  const printSummary = ({ scores, folder, dataset, job, history }: TrainedModel): void => {
    report.close();
    // In a log of JSON, the events of epochs have these figures.
    const lines = flags.log === 'json' ? [] : describeCurves(history, curveStyle(process.stdout));
    for (const line of lines) report.info(line);
    const modelDir = join(folder ?? '', 'model');
    const customCode = job.customCode?.hash;
    const settings = { ...flags, transpose: dataset.isTransposed, customCode };
    summary.printSummary(scores, { modelDir, dataset }, settings, context, report);
  };

  try {
    const model = await run;
    printSummary(model);
    if (urlFile !== undefined && !signal.aborted) await addresses.finishUrlFile(urlFile);
    if (signal.aborted && model.canResume && resumeOrStart !== undefined)
      report.info('The same command resumes it.');
    else if (signal.aborted && model.canResume) {
      const settings = {
        ...flags,
        task: own.file,
        customCode: model.job.customCode?.hash,
        ...ownAddress(flags),
      };
      summary.printResumeHint({ dir: model.folder ?? '' }, settings, context, report);
    }
    if (served !== undefined && !signal.aborted) {
      // The run is over: Ctrl-C ends the server, and nothing is left to be saved.
      interrupt.dispose();
      addresses.printServingUrl(served.urls, token, report, isScreen);
      await waitForInterrupt();
    }
  } catch (error) {
    if (error instanceof library.RunFinishedError) {
      report.info(error.message);
      if (urlFile !== undefined) await addresses.finishUrlFile(urlFile);
    } else if (!signal.aborted || error !== signal.reason) throw error;
    else if (listening.hasBegun) {
      report.close();
      report.info('Stopped before the first step; there is no model.');
    }
  } finally {
    report.close();
    interrupt.dispose();
    await served?.close('The run is finished.');
  }
  return signal.aborted ? ExitCode.interrupted : 0;
}
