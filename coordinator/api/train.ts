import * as v from 'valibot';
import { registerCodec } from '../../shared/codec/registry.ts';
import type { Codec } from '../../shared/codec/codec.ts';
import { ENGINE_CHOICES, type EngineChoice } from '../../shared/engine/engine-choice.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import type { LocalWorkerCount } from '../pool/local-workers.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import { runTraining, type RunSettings } from '../commands/run-training.ts';
import { LINK_CODECS, type CodecChoice } from '../links/codecs.ts';
import type { Reporter } from '../report/reporter.ts';
import { hasCheckpoint } from '../run/checkpoint.ts';
import type { CheckpointInterval } from '../run/checkpoint-writer.ts';
import { defaultRunDir } from '../run/run-folder.ts';
import { describeTaskData } from '../task/data.ts';
import { describeTaskModel } from '../task/model.ts';
import { checkSettings, checkTask, type Task } from '../task/task.ts';
import { checkDescriptors, DEFAULT_WORKERS, MAX_WORKERS } from '../server/limits/connection-limits.ts';
import type { Coordinator } from './create-coordinator.ts';
import { hostOf } from './hosts.ts';
import { clock, completeReporter } from './reporters.ts';
import { startRun, type Run, type RunControls } from './run.ts';
import { thisPackage } from './this-package.ts';
import { trainedModel } from './compute-model.ts';
import type { TrainedModel } from './trained-model.ts';

/**
 * Encoding of gradients and weights on a link: `auto` chooses for each link, `float32` is exact. A codec of your own encodes
 * gradients, for workers that have it too; others use float32.
 * @example
 * ```ts
 * const codec: CodecOption = { up: 'int8', down: 'float16' };
 * ```
 */
export type CodecOption =
  | 'auto'
  | 'float32'
  | 'factors'
  | 'float16'
  | 'int8'
  | 'int4'
  | 'int4/int4'
  | Codec
  | { readonly up: string | Codec; readonly down: string | Codec };

/**
 * Options of {@link train}.
 * @example
 * ```ts
 * const options: TrainOptions = { workers: 2, out: 'runs/first', reporter: lineReporter((line) => console.log(line)) };
 * ```
 */
export interface TrainOptions {
  /**
   * Number of workers in processes of their own on this machine. `auto` takes what computes fastest, a function chooses once the job
   * is known. @default 'auto'; 0 with a coordinator or an engine of your own
   */
  readonly workers?:
    | number
    | 'auto'
    | ((job: Job) => number | LocalWorkerCount | Promise<number | LocalWorkerCount>)
    | undefined;
  /**
   * Threads of each of these workers' engine: native TensorFlow's, or engine threads of WebAssembly, which share one set of weights and
   * answer with one gradient. @default native: its share of the cores, or 1 in an exact run; WebAssembly: 1, or chosen with `auto`
   */
  readonly threads?: number | undefined;
  /** Engine of these workers; or an engine of your own, which computes in this process. @default 'auto' */
  readonly engine?: EngineChoice | Engine | undefined;
  /** Encoding of gradients and weights; an exact run always uses float32. @default 'auto' */
  readonly codec?: CodecOption | undefined;
  /** A coordinator of yours, which goes on after the run. @default one that closes at the end of the run */
  readonly coordinator?: Coordinator | undefined;
  /** Address to listen on, with a port. @default '127.0.0.1' */
  readonly host?: string | undefined;
  /**
   * Port to listen on; 0 takes a free one. With a coordinator of yours, it stays open until that is closed.
   * @default 0; none with a coordinator, or with your engine as the only worker
   */
  readonly port?: number | undefined;
  /** Secret that workers need to join. @default every worker may join */
  readonly token?: string | undefined;
  /** Whether to serve https and wss: with a self-signed certificate, or with files in PEM. @default false */
  readonly https?:
    boolean | { readonly cert?: string | undefined; readonly key?: string | undefined } | undefined;
  /** Number of workers to wait for before the first step. @default as many as there are local ones */
  readonly minWorkers?: number | undefined;
  /** Number of workers, at most 65536; see createCoordinator. @default 1000; that of a coordinator of yours */
  readonly maxWorkers?: number | undefined;
  /**
   * Part of the answers that are recomputed before they count, besides the few that always are; false trusts all workers.
   * @default 0; false with your engine as the only worker
   */
  readonly audit?: number | false | undefined;
  /** Folder for model, history, config and checkpoints; true for runs/<date>-<id>. @default none: nothing is written */
  readonly out?: string | true | undefined;
  /** Formats and files in which the trained model is written besides, such as onnx; it needs a folder. @default none */
  readonly export?: readonly string[] | undefined;
  /** Folder of a run to resume from its last checkpoint, with its model and settings. @default a new run */
  readonly resume?: string | undefined;
  /**
   * Folder of a run to resume if it has a checkpoint, else of a new run, in place of `out` and `resume`: for schedulers that start a
   * program again. The settings of the task have to stay the same. @default none
   */
  readonly resumeOrStart?: string | undefined;
  /** SHA-256 of custom code that a resumed run may run. @default none */
  readonly trust?: readonly string[] | undefined;
  /** Time between two checkpoints. @default five minutes; of a resumed run, as before */
  readonly checkpointEvery?: CheckpointInterval | undefined;
  /** Receives lines and progress. @default none */
  readonly reporter?: Partial<Reporter> | undefined;
  /** Aborted to stop: the step in progress is finished. @default never */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether a scheduler stops the run, which ends the process soon and may start it again: the step in progress has five seconds, the
   * model is saved without being measured, and workers wait for the run to come back. Called when the signal is aborted. @default no
   */
  readonly isTerminated?: (() => boolean) | undefined;
  /** Called when workers can join. */
  readonly onListening?: ((at: ListeningAt) => void | Promise<void>) | undefined;
  /** Settings that config.json records. @default those of the task and these options */
  readonly config?: object | undefined;
  /** Names of options in errors. @default their keys */
  readonly optionName?: OptionName | undefined;
}

/**
 * Addresses at which workers can join.
 * @example
 * ```ts
 * train(task, { onListening: ({ urls }) => console.log(`gradcast worker ${urls[0]}`) });
 * ```
 */
export interface ListeningAt {
  /** Addresses with ws:// or wss://, the nearest first. */
  readonly urls: readonly string[];
  /** Certificate of https; workers trust a self-signed one by its fingerprint. */
  readonly certificate: { readonly fingerprint: string; readonly selfSigned: boolean } | undefined;
}

const text = v.pipe(v.string(), v.minLength(1));
const whole = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
const object = v.looseObject({});
const optionFields = {
  workers: v.optional(v.union([whole(0, 1_000), v.literal('auto'), v.function()])),
  threads: v.optional(whole(1, 1_024)),
  engine: v.optional(v.union([v.picklist(ENGINE_CHOICES), v.looseObject({ load: v.function() })])),
  codec: v.optional(v.union([v.picklist(['auto', ...Object.keys(LINK_CODECS)]), object])),
  coordinator: v.optional(object),
  host: v.optional(text),
  port: v.optional(whole(0, 65_535)),
  token: v.optional(text),
  https: v.optional(v.union([v.boolean(), object])),
  minWorkers: v.optional(whole(1, MAX_WORKERS)),
  maxWorkers: v.optional(whole(1, MAX_WORKERS)),
  audit: v.optional(v.union([v.literal(false), v.pipe(v.number(), v.minValue(0), v.maxValue(1))])),
  out: v.optional(v.union([text, v.literal(true)])),
  export: v.optional(v.array(text)),
  resume: v.optional(text),
  resumeOrStart: v.optional(text),
  trust: v.optional(v.array(text)),
  checkpointEvery: v.optional(
    v.union([v.object({ steps: whole(1) }), v.object({ ms: v.pipe(v.number(), v.minValue(1)) })]),
  ),
  reporter: v.optional(object),
  signal: v.optional(v.instance(AbortSignal)),
  isTerminated: v.optional(v.function()),
  onListening: v.optional(v.function()),
  config: v.optional(object),
  optionName: v.optional(v.function()),
};

const DEFAULT_HOST = '127.0.0.1';

/**
 * Starts a run: opens the data, builds the model, starts workers on this machine and trains. Other machines and browsers may join.
 * @returns the run, at once. Errors come from `await run`, also those of wrong options: TypeError with a sentence, DataError for
 *   data, TrainingDiverged if the loss or the gradient is not finite, RunFinishedError if a resumed run has no step left
 * @example
 * ```ts
 * const run = train({ data: 'fashion-mnist/', optimizer: 'adam', epochs: 3 }, { workers: 2 });
 * for await (const event of run) if (event.type === 'epoch') console.log(event.epoch, event.val_accuracy);
 * await (await run).save('model/');
 * ```
 */
export function train(task: Task, options: TrainOptions = {}): Run {
  return startRun((controls) => runTask(task, options, controls), options.signal);
}

async function runTask(task: Task, options: TrainOptions, controls: RunControls): Promise<TrainedModel> {
  const { signal, listener, setUrls, setSteps } = controls;
  checkTask(task);
  checkSettings(options, optionFields, 'train');
  const program = thisPackage();
  const settings = settingsOf(task, options);
  const { coordinator, engine = 'auto', onListening } = options;
  const report = completeReporter(options.reporter);
  const host = coordinator === undefined ? undefined : hostOf(coordinator);
  const release = host?.claim();
  const outcome = await runTraining(settings, {
    program,
    coordinator: host,
    clock,
    report,
    listener,
    callbacks: task.callbacks,
    signal,
    isTerminated: options.isTerminated,
    async chooseWorkerCount(job) {
      const { workers = typeof engine === 'string' && coordinator === undefined ? 'auto' : 0 } = options;
      if (typeof workers === 'function') {
        const count = await workers(job);
        return typeof count === 'number' ? { workers: count, threads: options.threads } : count;
      }
      if (workers !== 'auto') return { workers, threads: options.threads };
      const isExact = job.microShard !== undefined;
      const threads = options.threads ?? (isExact ? 1 : undefined);
      const note = (line: string): void => report.info(line);
      return program.chooseWorkerCount({ engine: settings.engine, threads, isExact, note, signal });
    },
    async onListening(urls, certificate) {
      setUrls(urls);
      await onListening?.({ urls, certificate });
    },
    onSteps: setSteps,
  }).finally(release);
  if (outcome === null || outcome.steps === 0) {
    signal.throwIfAborted();
    throw new Error('The run has ended before its first step.');
  }
  return trainedModel(outcome, {
    version: program.version,
    isStopped: signal.aborted,
    openEngine:
      typeof engine === 'string'
        ? () => program.openCoordinatorEngine('wasm')
        : () => Promise.resolve({ engine, close: () => Promise.resolve() }),
  });
}

/** @throws TypeError with a sentence if options contradict each other */
function settingsOf(task: Task, options: TrainOptions): RunSettings {
  const { optimizer, ...ofTask } = task;
  const { engine = 'auto', https, codec = 'auto', audit, coordinator, optionName = keyName } = options;
  const { host = DEFAULT_HOST, port, token, minWorkers, maxWorkers } = options;
  const { out, resume, mayHaveBegun } = folderOf(options);
  // Initial weights are of no use to a run that has its own.
  const others = mayHaveBegun && resume !== undefined ? { ...ofTask, weights: undefined } : ofTask;
  if (coordinator !== undefined && token !== undefined)
    throw new TypeError('The token belongs to the coordinator: createCoordinator({ token }).');
  if (coordinator !== undefined && maxWorkers !== undefined)
    throw new TypeError(
      'The number of workers belongs to the coordinator: createCoordinator({ maxWorkers }).',
    );
  if (maxWorkers !== undefined) checkDescriptors(maxWorkers, optionName);
  if (coordinator === undefined && (minWorkers ?? 1) > (maxWorkers ?? DEFAULT_WORKERS))
    throw new TypeError(
      `The run would wait for ${minWorkers ?? 1} workers and admit ${maxWorkers ?? DEFAULT_WORKERS}. Set ${optionName('maxWorkers')}.`,
    );
  const withoutPort = (['host', 'https'] as const).find((key) => (options[key] ?? false) !== false);
  if (coordinator !== undefined && port === undefined && withoutPort !== undefined)
    throw new TypeError(
      `${optionName(withoutPort)} needs ${optionName('port')} beside a coordinator, which has its own addresses.`,
    );
  if (options.export !== undefined && out === undefined && resume === undefined)
    throw new TypeError(
      `${optionName('export')} needs ${optionName('out')}: files are written in its folder.`,
    );
  if (resume !== undefined && out !== undefined)
    throw new TypeError(`A resumed run keeps its folder. Leave out ${optionName('out')}.`);
  const ownEngine = typeof engine === 'string' ? undefined : engine;
  const isAlone =
    ownEngine !== undefined && coordinator === undefined && port === undefined && options.host === undefined;
  const opensPort = port !== undefined || (coordinator === undefined && !isAlone);
  const isWithoutProcesses = options.workers === undefined || options.workers === 0;
  const certificate = typeof https === 'object' ? https : {};
  return {
    ...withoutUndefined(others),
    ...(resume === undefined ? {} : { resume }),
    ...(https === undefined || https === false ? {} : { https: true, ...withoutUndefined(certificate) }),
    ...(optimizer === undefined
      ? {}
      : { optimizer: typeof optimizer === 'string' ? { name: optimizer } : optimizer }),
    // Only an exact run computes that many samples at a time.
    exact: task.exact ?? (task.microShard === undefined ? undefined : true),
    trust: options.trust,
    out: out === true ? defaultRunDir(new Date()) : out,
    mayHaveBegun,
    checkpointEvery: options.checkpointEvery,
    export: options.export,
    host: coordinator !== undefined && port === undefined ? '0.0.0.0' : host,
    port: opensPort ? (port ?? 0) : null,
    token,
    codec: codecChoice(codec),
    engine: typeof engine === 'string' ? engine : 'auto',
    ownEngine,
    minWorkers,
    maxWorkers,
    audit: audit === false ? undefined : audit,
    trustsWorkers: audit === false || (audit === undefined && isAlone && isWithoutProcesses),
    config: options.config ?? describeSettings(task, options),
    optionName,
  };
}

/** Folder of a run, and whether an earlier process may have left it before its first checkpoint. */
function folderOf({
  out,
  resume,
  resumeOrStart,
  optionName = keyName,
}: TrainOptions): Pick<TrainOptions, 'out' | 'resume'> & { readonly mayHaveBegun: boolean } {
  if (resumeOrStart === undefined) return { out, resume, mayHaveBegun: false };
  const other = out === undefined ? (resume === undefined ? null : 'resume') : 'out';
  if (other !== null)
    throw new TypeError(
      `${optionName('resumeOrStart')} names the folder of the run. Leave out ${optionName(other)}.`,
    );
  return hasCheckpoint(resumeOrStart)
    ? { out: undefined, resume: resumeOrStart, mayHaveBegun: true }
    : { out: resumeOrStart, resume: undefined, mayHaveBegun: true };
}

const withoutUndefined = <Options extends object>(options: Options): Options =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;

/** Codecs by name. Those of a program's own are known by theirs from now on. */
function codecChoice(codec: CodecOption): CodecChoice {
  if (typeof codec === 'string') return codec;
  const nameOf = (one: string | Codec): string => {
    if (typeof one === 'string') return one;
    registerCodec(one);
    return one.name;
  };
  return 'encode' in codec
    ? { up: nameOf(codec), down: 'float32' }
    : { up: nameOf(codec.up), down: nameOf(codec.down) };
}

/** Settings for config.json that are data. */
function describeSettings(task: Task, options: TrainOptions): object {
  const { engine, codec, host, port, https, audit, out, checkpointEvery } = options;
  const { minWorkers, maxWorkers } = options;
  return {
    ...task,
    model: describeTaskModel(task.model),
    ...describeTaskData(task.data),
    callbacks: task.callbacks?.map(({ name = 'callback' }) => name),
    engine: typeof engine === 'object' ? engine.info : engine,
    codec: typeof codec === 'object' ? codecChoice(codec) : codec,
    host,
    port,
    https,
    minWorkers,
    maxWorkers,
    audit,
    out,
    checkpointEvery,
  };
}
