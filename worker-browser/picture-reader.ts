import type { Clock } from '../shared/util/clock.ts';
import { float32 } from '../shared/codec/float32.ts';
import type { Engine, GradientComputer } from '../shared/engine/engine.ts';
import { errorMessage } from '../shared/util/error-message.ts';
import type { Job } from '../shared/model/job.ts';
import { layoutOf, sizeOf } from '../shared/model/layout.ts';
import type { OpenedEngine } from './engine/tab-engines.ts';

/** Twelve times a second look live; more would only take time from the shards. */
const READ_INTERVAL_MS = 80;
/** Without a picture for so long, the model gives its memory back. */
const UNLOAD_AFTER_MS = 30_000;

export interface PictureReaderOptions {
  /** Opens an engine of the reader's own: the shards' engine is busy with them most of the time. */
  readonly open: () => Promise<Pick<OpenedEngine, 'engine' | 'lost' | 'close'>>;
  readonly clock: Clock;
  readonly onPrediction: (probabilities: readonly number[]) => void;
  /** That it cannot read, and why. */
  readonly note: (line: string) => void;
}

/** The newest weights of a job: parts of the flat vector, which stay as they are until others come. */
interface LatestWeights {
  readonly job: Job;
  /** The same for the same job. */
  readonly key: string;
  readonly length: number;
  parts: readonly { readonly from: number; readonly weights: Float32Array }[];
}

/**
 * Classifies one picture with the newest weights, those of a contributing tab or those that it is handed, beside the shards.
 * Reads again when the picture or the weights have changed.
 */
export class PictureReader {
  readonly #options: PictureReaderOptions;
  #picture: Uint8Array | null = null;
  #latest: LatestWeights | null = null;
  /** Changed since the last reading. */
  #stale = false;
  #weightsStale = false;
  #readAtMs = -Infinity;
  #cancel: (() => void) | null = null;
  #reading = false;
  #opened: ReturnType<PictureReaderOptions['open']> | null = null;
  #loaded: { readonly key: string; readonly trainer: GradientComputer } | null = null;
  #cancelClose: () => void = () => undefined;

  constructor(options: PictureReaderOptions) {
    this.#options = options;
  }

  /** @param picture of the job's sample shape, as stored: 0 to 255; null if there is none */
  show(picture: Uint8Array | null): void {
    this.#picture = picture;
    this.#cancelClose();
    if (picture === null)
      this.#cancelClose = this.#options.clock.after(UNLOAD_AFTER_MS, () => this.#unload());
    this.#changed();
  }

  /** Opens the engine, and keeps it: when the run is over, the coordinator may be gone. */
  prepare(): void {
    // A failure is told when there is a picture to read, which tries again.
    this.#open().catch(() => undefined);
  }

  /** The engine, with the weights of its trainers overheard. */
  tapWeights(engine: Engine): Engine {
    return {
      info: engine.info,
      load: async (job) => this.#tap(job, await engine.load(job)),
    };
  }

  /** Reads with these weights, for a tab that computes no shards. */
  readWith(job: Job, payload: Uint8Array): void {
    const none = emptyWeights(job);
    // Those of another run, or of nobody's.
    if (payload.length !== float32.bytes(none.length)) return;
    this.#latest = { ...none, parts: [{ from: 0, weights: float32.decode(payload, none.length) }] };
    this.#weightsChanged();
  }

  #tap(job: Job, trainer: GradientComputer): GradientComputer {
    const heard = emptyWeights(job);
    return {
      setWeights: (weights, from = 0) => {
        trainer.setWeights(weights, from);
        const others =
          weights.length === heard.length ? [] : heard.parts.filter((part) => part.from !== from);
        heard.parts = [...others, { from, weights }];
        this.#latest = heard;
        this.#weightsChanged();
      },
      gradient: (...shard) => trainer.gradient(...shard),
      prepare: (step, shard) => trainer.prepare(step, shard),
      evaluate: (shard) => trainer.evaluate(shard),
      predict: (images, samples) => trainer.predict(images, samples),
      dispose: () => trainer.dispose(),
    };
  }

  #weightsChanged(): void {
    this.#weightsStale = true;
    this.#changed();
  }

  #changed(): void {
    this.#stale = true;
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#stale || this.#picture === null || this.#latest === null) return;
    if (this.#reading || this.#cancel !== null) return;
    const { clock } = this.#options;
    const waitMs = Math.max(0, this.#readAtMs + READ_INTERVAL_MS - clock.now());
    this.#cancel = clock.after(waitMs, () => {
      this.#cancel = null;
      void this.#read();
    });
  }

  async #read(): Promise<void> {
    this.#reading = true;
    this.#readAtMs = this.#options.clock.now();
    try {
      if (this.#latest !== null) await this.#readLatest(this.#latest);
    } catch (error) {
      this.#close();
      this.#picture = null;
      this.#options.note(`Cannot read the picture: ${errorMessage(error)}`);
    } finally {
      this.#reading = false;
      this.#schedule();
    }
  }

  async #readLatest(newest: LatestWeights): Promise<void> {
    const trainer = await this.#gradientComputerFor(newest);
    const picture = this.#picture;
    this.#stale = false;
    // A picture of another job's shape is on its way out.
    if (picture?.length !== sizeOf(newest.job.data.sampleShape)) return;
    if (this.#weightsStale) {
      this.#weightsStale = false;
      trainer.setWeights(assembleWeights(newest));
    }
    const probabilities = await trainer.predict(picture, 1);
    if (this.#picture !== null) this.#options.onPrediction([...probabilities]);
  }

  async #gradientComputerFor({ job, key }: LatestWeights): Promise<GradientComputer> {
    if (this.#loaded?.key === key) return this.#loaded.trainer;
    const { engine } = await this.#open();
    this.#unload();
    const trainer = await engine.load(job);
    this.#loaded = { key, trainer };
    this.#weightsStale = true;
    return trainer;
  }

  #open(): ReturnType<PictureReaderOptions['open']> {
    if (this.#opened !== null) return this.#opened;
    const opening = this.#options.open();
    this.#opened = opening;
    const forget = (): void => {
      if (this.#opened === opening) this.#close();
    };
    opening.then(({ lost }) => lost.then(forget), forget);
    return opening;
  }

  #unload(): void {
    this.#loaded?.trainer.dispose();
    this.#loaded = null;
  }

  /** Opened again when there is something to read. */
  #close(): void {
    const opened = this.#opened;
    this.#opened = this.#loaded = null;
    opened?.then(
      ({ close }) => close(),
      () => undefined,
    );
  }
}

function emptyWeights(job: Job): LatestWeights {
  return { job, key: JSON.stringify(job), length: layoutOf(job.layout).length, parts: [] };
}

function assembleWeights({ length, parts }: LatestWeights): Float32Array {
  const [first] = parts;
  if (parts.length === 1 && first?.weights.length === length) return first.weights;
  const whole = new Float32Array(length);
  for (const { from, weights } of parts) whole.set(weights, from);
  return whole;
}
