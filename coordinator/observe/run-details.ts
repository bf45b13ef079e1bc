import { isLazy, type Dataset } from '../../shared/data/dataset.ts';
import { pickSamples, shardBytes, writeShard, type Shard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import { MAX_DETAIL_SAMPLES, type DetailsMessage } from '../../shared/protocol/messages.ts';
import { openFrame } from '../../shared/protocol/frame.ts';

/** Details of a run's model and data that pages show. */
export interface ShownRun {
  /** Names of the model's tensors, in the order of the layout. @default pages offer no file of the model */
  readonly weightNames?: readonly string[] | undefined;
  /** Data set with the test samples that pages predict. @default pages predict none */
  readonly shownData?: Pick<Dataset, 'test' | 'classNames'> | undefined;
}

/** Bytes of test samples for a page, which a phone loads in a second. */
const MAX_BYTES = 2 ** 18;
/** Longest name of a class or tensor. */
const MAX_NAME = 200;
/** More names than these are left out, all of them. */
const MAX_NAMES = 4_096;

/** The names, if a message has room for them. */
function fitting(names: readonly string[] | undefined): string[] | null {
  if (names === undefined || names.length === 0 || names.length > MAX_NAMES) return null;
  return names.every(({ length }) => length <= MAX_NAME) ? [...names] : null;
}

/** Creates the answer to a page that asks for details, once for all pages. */
export class RunDetails {
  readonly #job: Job;
  readonly #shown: ShownRun;
  #frame: Promise<Uint8Array> | null = null;

  constructor(job: Job, shown: ShownRun) {
    this.#job = job;
    this.#shown = shown;
  }

  /** The encoded message. Without samples, if those of the test data cannot be read or are too large. */
  frame(): Promise<Uint8Array> {
    return (this.#frame ??= this.#readSamples().then(
      (shard) => this.#encode(shard),
      () => this.#encode(null),
    ));
  }

  /** Samples from all parts of the test data, which may be sorted by class. */
  async #readSamples(): Promise<Shard | null> {
    const test = this.#shown.shownData?.test;
    if (test === undefined) return null;
    const fits = Math.floor(MAX_BYTES / shardBytes(1, this.#job));
    const count = Math.min(test.count, fits, MAX_DETAIL_SAMPLES);
    if (count === 0) return null;
    const numbers = Uint32Array.from({ length: count }, (_, i) => Math.floor((i * test.count) / count));
    return isLazy(test) ? test.read(numbers) : pickSamples(test, numbers);
  }

  #encode(shard: Shard | null): Uint8Array {
    const samples = shard?.sampleNumbers.length ?? 0;
    const weightNames = fitting(this.#shown.weightNames);
    const classNames = fitting(this.#shown.shownData?.classNames);
    const message: DetailsMessage = {
      type: 'details',
      samples,
      ...(weightNames === null ? {} : { weightNames }),
      ...(classNames === null ? {} : { classNames }),
    };
    const { bytes, payload } = openFrame(message, shard === null ? 0 : shardBytes(samples, this.#job));
    if (shard !== null) writeShard(payload, shard, this.#job);
    return bytes;
  }
}
