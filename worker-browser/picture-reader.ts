import type { Clock } from '../shared/util/clock.ts';
import { float32 } from '../shared/codec/float32.ts';
import type { Engine, GradientComputer } from '../shared/engine/engine.ts';
import { errorMessage } from '../shared/util/error-message.ts';
import type { Job } from '../shared/model/job.ts';
import { sampleSize, type TensorValues } from '../shared/model/tensors.ts';
import { layoutOf } from '../shared/model/layout.ts';
import { LOAD_LIMIT_MS, withinLimit } from '../shared/worker/custom-code-access.ts';
import type { OpenedEngine } from './engine/tab-engines.ts';
import type { TestInputs } from './tab-messages.ts';

/** Twelve predictions a second are enough to look live. More would slow the shards. */
const READ_INTERVAL_MS = 80;
/** Time between two predictions of the test samples: each takes as long as a shard. */
const SAMPLES_INTERVAL_MS = 8_000;
/** Time without a picture after which the model's memory is released. */
const UNLOAD_AFTER_MS = 30_000;
/** Time after which a picture that could not be read is read again, and how often: an engine may start slowly on a busy machine. */
const RETRY_AFTER_MS = 2_000;
const MAX_RETRIES = 3;

export interface PictureReaderOptions {
  /** Opens an engine for pictures alone: the engine that computes shards is busy most of the time. */
  readonly open: () => Promise<Pick<OpenedEngine, 'engine' | 'lost' | 'close'>>;
  readonly clock: Clock;
  readonly onPrediction: (probabilities: readonly number[]) => void;
  /** Receives the predictions of the test samples. @default none are shown */
  readonly onSamplePredictions?: (values: Float32Array) => void;
  /** Reports why a picture cannot be classified. */
  readonly note: (line: string) => void;
}

/** The newest weights of a job. */
interface LatestWeights {
  readonly job: Job;
  /** Address of its custom code; see Engine. */
  readonly module?: string | undefined;
  /** Equal for equal jobs. */
  readonly key: string;
  /** The flat vector; it does not change until others are set. */
  readonly weights: Float32Array;
}

/**
 * Classifies one picture, and predicts test samples, with the newest weights, again whenever the picture or the weights change. The weights are those
 * of the engine that computes shards, or the ones that `readWith` receives.
 */
export class PictureReader {
  readonly #options: PictureReaderOptions;
  #picture: Uint8Array | null = null;
  #latest: LatestWeights | null = null;
  /** Whether the picture or the weights have changed since the last prediction. */
  #stale = false;
  #samples: TestInputs | null = null;
  #samplesStale = false;
  #samplesFromMs = -Infinity;
  #weightsStale = false;
  /** Time from which the next prediction may start. */
  #readFromMs = -Infinity;
  /** Attempts that failed since the last prediction or new picture. */
  #failures = 0;
  #cancelRead: (() => void) | null = null;
  #reading = false;
  #opened: ReturnType<PictureReaderOptions['open']> | null = null;
  #loaded: { readonly key: string; readonly computer: GradientComputer } | null = null;
  #cancelClose: () => void = () => undefined;

  constructor(options: PictureReaderOptions) {
    this.#options = options;
  }

  /** @param picture bytes of the job's sample shape, 0 to 255; null for none */
  show(picture: Uint8Array | null): void {
    this.#picture = picture;
    this.#failures = 0;
    this.#unloadLater();
    this.#changed();
  }

  /** @param samples test samples of the job whose weights are read; null for none */
  showSamples(samples: TestInputs | null): void {
    this.#samples = samples;
    this.#samplesStale = true;
    this.#samplesFromMs = -Infinity;
    this.#failures = 0;
    this.#unloadLater();
    this.#schedule();
  }

  #unloadLater(): void {
    this.#cancelClose();
    if (this.#picture === null && this.#samples === null)
      this.#cancelClose = this.#options.clock.after(UNLOAD_AFTER_MS, () => this.#unload());
  }

  /** Opens the engine early and keeps it: its files cannot be loaded once the coordinator has stopped. */
  prepare(): void {
    // The next picture tries again, and reports the failure.
    this.#open().catch(() => undefined);
  }

  /** The same engine; the reader follows the weights that are set on it. */
  tapWeights(engine: Engine): Engine {
    return {
      info: engine.info,
      load: async (job, module) => this.#tap(job, module, await engine.load(job, module)),
    };
  }

  /** Uses these weights, in float32, for a tab that computes no shards. */
  readWith(job: Job, payload: Uint8Array): void {
    const { length } = layoutOf(job.layout);
    // The weights may be of a run before this job.
    if (payload.length !== float32.bytes(length)) return;
    this.#latest = { job, key: keyOf(job), weights: float32.decode(payload, length) };
    this.#weightsChanged();
  }

  #tap(job: Job, module: string | undefined, computer: GradientComputer): GradientComputer {
    const key = keyOf(job);
    return {
      setWeights: (weights) => {
        // Ownership is not passed on: the reader keeps the weights.
        computer.setWeights(weights);
        this.#latest = { job, module, key, weights };
        this.#weightsChanged();
      },
      gradient: (...shard) => computer.gradient(...shard),
      prepare: (step, shard) => computer.prepare(step, shard),
      evaluate: (shard) => computer.evaluate(shard),
      predict: (inputs, samples) => computer.predict(inputs, samples),
      dispose: () => computer.dispose(),
    };
  }

  #weightsChanged(): void {
    this.#weightsStale = true;
    this.#samplesStale = true;
    this.#changed();
  }

  #changed(): void {
    this.#stale = true;
    this.#schedule();
  }

  #schedule(): void {
    const readsPicture = this.#stale && this.#picture !== null;
    const readsSamples = this.#samplesStale && this.#samples !== null;
    if (!(readsPicture || readsSamples) || this.#latest === null || this.#reading) return;
    this.#cancelRead?.();
    const { clock } = this.#options;
    const fromMs = readsPicture ? this.#readFromMs : Math.max(this.#readFromMs, this.#samplesFromMs);
    const waitMs = Math.max(0, fromMs - clock.now());
    this.#cancelRead = clock.after(waitMs, () => {
      this.#cancelRead = null;
      void this.#read();
    });
  }

  async #read(): Promise<void> {
    this.#reading = true;
    this.#readFromMs = this.#options.clock.now() + READ_INTERVAL_MS;
    try {
      if (this.#latest !== null) await this.#predict(this.#latest);
      this.#failures = 0;
    } catch (error) {
      this.#close();
      this.#retryLater(errorMessage(error));
    } finally {
      this.#reading = false;
      this.#schedule();
    }
  }

  #retryLater(reason: string): void {
    this.#stale = true;
    this.#samplesStale = true;
    this.#readFromMs = this.#options.clock.now() + RETRY_AFTER_MS;
    this.#samplesFromMs = this.#readFromMs;
    if (this.#failures++ < MAX_RETRIES) return;
    const hadPicture = this.#picture !== null;
    this.#picture = null;
    this.#samples = null;
    if (hadPicture) this.#options.note(`The picture cannot be read: ${reason}`);
  }

  async #predict({ job, key, module }: LatestWeights): Promise<void> {
    const computer = await this.#load(job, key, module);
    // Newer weights may have arrived while the engine was opened; those of another job are read next.
    const latest = this.#latest;
    if (latest?.key !== key) return;
    if (this.#weightsStale) {
      this.#weightsStale = false;
      computer.setWeights(latest.weights);
    }
    const predict = async (inputs: readonly TensorValues[], count: number): Promise<Float32Array> => {
      const predicting = computer.predict(inputs, count);
      return module === undefined
        ? predicting
        : withinLimit(this.#options.clock, predicting, LOAD_LIMIT_MS, 'did not predict');
    };
    const picture = this.#picture;
    const [input, ...others] = job.inputs;
    // The page replaces a picture of another job's shape.
    const isReadable = input !== undefined && others.length === 0 && picture?.length === sampleSize(input);
    if (this.#stale && picture !== null && isReadable) {
      this.#stale = false;
      const probabilities = await predict([picture], 1);
      if (this.#picture !== null) this.#options.onPrediction([...probabilities]);
    }
    this.#stale &&= picture !== null && isReadable;
    await this.#predictSamples(job, predict);
  }

  async #predictSamples(
    job: Job,
    predict: (inputs: readonly TensorValues[], count: number) => Promise<Float32Array>,
  ): Promise<void> {
    const { clock, onSamplePredictions } = this.#options;
    const samples = this.#samples;
    if (samples === null || !this.#samplesStale || clock.now() < this.#samplesFromMs) return;
    this.#samplesStale = false;
    this.#samplesFromMs = clock.now() + SAMPLES_INTERVAL_MS;
    const { inputs, count } = samples;
    // The page replaces samples of another job.
    const fits = job.inputs.every((input, i) => inputs[i]?.length === count * sampleSize(input));
    if (!fits) return;
    const values = await predict(inputs, count);
    if (this.#samples === samples) onSamplePredictions?.(values);
  }

  async #load(job: Job, key: string, module: string | undefined): Promise<GradientComputer> {
    if (this.#loaded?.key === key) return this.#loaded.computer;
    const { engine } = await this.#open();
    this.#unload();
    const loading = engine.load(job, module);
    const computer = await (module === undefined
      ? loading
      : withinLimit(this.#options.clock, loading, LOAD_LIMIT_MS, 'was not loaded'));
    this.#loaded = { key, computer };
    this.#weightsStale = true;
    return computer;
  }

  #open(): ReturnType<PictureReaderOptions['open']> {
    if (this.#opened !== null) return this.#opened;
    const opening = this.#options.open();
    this.#opened = opening;
    const discard = (): void => {
      if (this.#opened === opening) this.#close();
    };
    opening.then(({ lost }) => lost.then(discard), discard);
    return opening;
  }

  #unload(): void {
    this.#loaded?.computer.dispose();
    this.#loaded = null;
  }

  /** Closes the engine; the next prediction opens another one. */
  #close(): void {
    const opened = this.#opened;
    this.#opened = null;
    this.#loaded = null;
    opened?.then(
      ({ close }) => close(),
      () => undefined,
    );
  }
}

const keyOf = (job: Job): string => JSON.stringify(job);
