import { isKeptAt, keptBytes, KeptSamples, type SampleCounts } from '../data/kept-samples.ts';
import { shardBytes, viewShard, type Shard } from '../data/shard.ts';
import type { Job } from '../model/job.ts';
import { sampleBytes, type TensorValues } from '../model/tensors.ts';
import { checksum } from '../protocol/checksum.ts';
import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import { TASKS, type PrefetchMessage, type ShardMessage, type Task } from '../protocol/messages.ts';

/** Samples as they were received: numbers, and the values of those that the worker did not have. */
export interface ReceivedSamples {
  readonly message: Pick<ShardMessage | PrefetchMessage, 'samples' | 'kept' | 'checksum'>;
  readonly payload: Uint8Array;
}

/** Block of samples, as it is stored on a disk. */
export interface SampleBlock {
  /** Sample numbers, by task. */
  readonly numbers: Readonly<Record<Task, readonly number[]>>;
  /** Records of the samples: those of the training samples first. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Keeps samples longer than a process or a page lives. Nothing in it has to be right: samples are checked when they are used. */
export interface SampleStorage {
  /**
   * Reads the blocks of a data set, one at a time.
   * @param key digest of the data set and of the form of its samples
   * @param take receives a block; returns whether it can take another one
   */
  load(key: string, take: (block: SampleBlock) => boolean): Promise<void>;
  /** Adds the samples of a block that are not stored yet. Errors are not reported: a sample that is not stored is sent again. */
  save(key: string, block: SampleBlock): void;
  /** Removes all blocks of a data set. */
  remove(key: string): void;
}

export interface SampleStoreOptions {
  /** Memory for samples. */
  readonly maxBytes: number;
  /** @default none: samples are kept as long as the process or page lives */
  readonly storage?: SampleStorage;
}

/** Memory is allocated, and stored, in blocks of about this size. */
const BLOCK_BYTES = 2 ** 20;
/** Bitmaps that fit into a message. Of a larger data set, samples are kept for one connection only. */
const MAX_BITMAP_BYTES = 60 << 10;
/** Samples of a data set whose places take a bearable part of the memory. */
const MAX_SAMPLES = 2 ** 24;

const countsOf = ({ data }: Job): SampleCounts => ({ train: data.trainSamples, evaluate: data.testSamples });

/** Samples that a worker was sent, so that the coordinator can name them by their numbers when they are needed again. */
export class SampleStore {
  readonly #job: Job;
  readonly #key: string;
  readonly #storage: SampleStorage | undefined;
  readonly #kept: KeptSamples;
  readonly #recordBytes: number;
  readonly #recordsPerBlock: number;
  /** Records, in the order in which they were kept. */
  readonly #blocks: Uint8Array<ArrayBuffer>[] = [];
  /** Place of each sample's record by task and number; -1 for none. */
  readonly #places: Readonly<Record<Task, Int32Array>>;
  /** Samples of the block that is being filled. */
  #unsaved: { readonly task: Task; readonly number: number; readonly place: number }[] = [];
  #records = 0;
  /** Whether there is no memory for another block. */
  #isOutOfMemory = false;
  #hasFailed = false;

  private constructor(job: Job, key: string, { maxBytes, storage }: SampleStoreOptions) {
    const counts = countsOf(job);
    this.#job = job;
    this.#key = key;
    this.#storage = storage;
    this.#recordBytes = sampleBytes(job);
    this.#recordsPerBlock = Math.max(1, Math.floor(BLOCK_BYTES / this.#recordBytes));
    this.#kept = new KeptSamples(
      counts,
      Math.min(Math.floor(maxBytes / this.#recordBytes), counts.train + counts.evaluate),
    );
    this.#places = {
      train: new Int32Array(counts.train).fill(-1),
      evaluate: new Int32Array(counts.evaluate).fill(-1),
    };
  }

  /**
   * Opens the store of a job's samples, with those that are in the storage.
   * @returns null if the job's data set has no digest, too many samples, or samples that are too large
   */
  static async open(job: Job, options: SampleStoreOptions): Promise<SampleStore | null> {
    const { digest, trainSamples, testSamples } = job.data;
    if (digest === undefined || trainSamples + testSamples > MAX_SAMPLES) return null;
    if (options.maxBytes < sampleBytes(job)) return null;
    const outlives = keptBytes(countsOf(job)) <= MAX_BITMAP_BYTES;
    const { storage, ...own } = options;
    if (!outlives) return new SampleStore(job, sampleKey(job, digest), own);
    const store = new SampleStore(job, sampleKey(job, digest), options);
    const found = { isDamaged: false };
    const take = (block: SampleBlock): boolean => {
      try {
        store.#restore(block);
        return store.room > 0;
      } catch {
        found.isDamaged = true;
        return false;
      }
    };
    // Blocks that cannot be read are sent again.
    await storage?.load(store.#key, take).catch(() => undefined);
    if (!found.isDamaged) return store;
    // Blocks of another form: the data set is stored anew.
    storage?.remove(store.#key);
    return new SampleStore(job, sampleKey(job, digest), options);
  }

  /** Whether it is the store of this job's samples, and may be used on another connection. */
  isFor(job: Job): boolean {
    return (
      this.bitmaps.length > 0 &&
      job.data.digest !== undefined &&
      sampleKey(job, job.data.digest) === this.#key
    );
  }

  /** Whether a sample was missing or damaged, so that no sample of this store can be relied on. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Number of samples that it keeps beside those that it has. */
  get room(): number {
    return this.#kept.room;
  }

  /** Bitmaps for the `ready` message; see KeptSamples. Empty if they are too large for it: no sample has been kept then. */
  get bitmaps(): Uint8Array {
    return keptBytes(countsOf(this.#job)) > MAX_BITMAP_BYTES ? new Uint8Array(0) : this.#kept.bitmaps;
  }

  /** Keeps those samples that are new, while there is room. @throws ProtocolError (malformed) */
  add(task: Task, received: ReceivedSamples): void {
    const { kept } = received.message;
    if (kept === undefined) return;
    const { shard, present } = this.#view(received);
    let source = 0;
    shard.sampleNumbers.forEach((number, position) => {
      if (number >= this.#places[task].length) throw malformed(`There is no sample ${number}.`);
      if (isKeptAt(kept, position)) return;
      if (this.#kept.add(task, number) && !this.#isOutOfMemory)
        this.#write(task, number, shard, source, present);
      source++;
    });
  }

  /**
   * The whole payload of a shard.
   * @returns null if a sample of it is missing or damaged; then the stored samples are removed
   * @throws ProtocolError (malformed)
   */
  assemble(task: Task, received: ReceivedSamples): Uint8Array | null {
    const { kept, samples, checksum: expected } = received.message;
    if (kept === undefined || kept.length === 0) return received.payload;
    const { shard, present } = this.#view(received);
    const payload = new Uint8Array(shardBytes(samples, this.#job));
    const whole = viewShard(payload, samples, this.#job);
    whole.sampleNumbers.set(shard.sampleNumbers);
    let source = 0;
    for (const [position, number] of shard.sampleNumbers.entries()) {
      const place = isKeptAt(kept, position) ? (this.#places[task][number] ?? -1) : null;
      if (place === -1) return this.#fail();
      if (place === null) copySample(whole, position, samples, shard, source++, present);
      else this.#read(place, whole, position);
    }
    return checksum(payload) === expected ? payload : this.#fail();
  }

  #fail(): null {
    this.#hasFailed = true;
    this.#unsaved = [];
    this.#storage?.remove(this.#key);
    return null;
  }

  #view({ message: { kept, samples }, payload }: ReceivedSamples): { shard: Shard; present: number } {
    const bitmap = kept ?? new Uint8Array(0);
    if (bitmap.length > 0 && bitmap.length !== Math.ceil(samples / 8)) {
      throw malformed(`The bitmap of ${samples} samples has ${bitmap.length} bytes.`);
    }
    let present = samples;
    for (let position = 0; position < samples; position++) if (isKeptAt(bitmap, position)) present--;
    return { shard: viewShard(payload, samples, this.#job, present), present };
  }

  /** Bytes of a record, in a block that is allocated when it is needed. */
  #record(place: number): Uint8Array {
    const index = Math.floor(place / this.#recordsPerBlock);
    this.#blocks[index] ??= new Uint8Array(this.#recordsPerBlock * this.#recordBytes);
    const at = (place % this.#recordsPerBlock) * this.#recordBytes;
    return this.#blocks[index].subarray(at, at + this.#recordBytes);
  }

  #write(task: Task, number: number, shard: Shard, position: number, present: number): void {
    const place = this.#records;
    let record: Uint8Array;
    try {
      record = this.#record(place);
    } catch (error) {
      // The sample is missing when it is needed, and is sent again.
      if (!(error instanceof RangeError)) throw error;
      this.#isOutOfMemory = true;
      return;
    }
    this.#records++;
    this.#places[task][number] = place;
    let at = 0;
    for (const values of tensorsOf(shard)) {
      const bytes = bytesOf(values, position, present);
      record.set(bytes, at);
      at += bytes.length;
    }
    if (this.#storage === undefined || this.#hasFailed) return;
    this.#unsaved.push({ task, number, place });
    if (this.#unsaved.length >= this.#recordsPerBlock) this.flush();
  }

  #read(place: number, shard: Shard, position: number): void {
    const record = this.#record(place);
    let at = 0;
    for (const values of tensorsOf(shard)) {
      const bytes = bytesOf(values, position, shard.sampleNumbers.length);
      bytes.set(record.subarray(at, at + bytes.length));
      at += bytes.length;
    }
  }

  /** Stores the samples of the block that is being filled. */
  flush(): void {
    const unsaved = this.#unsaved;
    if (unsaved.length === 0) return;
    this.#unsaved = [];
    const ordered = TASKS.map((task) => unsaved.filter((sample) => sample.task === task));
    const bytes = new Uint8Array(unsaved.length * this.#recordBytes);
    ordered.flat().forEach(({ place }, i) => bytes.set(this.#record(place), i * this.#recordBytes));
    const [train = [], evaluate = []] = ordered.map((samples) => samples.map(({ number }) => number));
    this.#storage?.save(this.#key, { numbers: { train, evaluate }, bytes });
  }

  /** Takes over the samples of a stored block, as far as they fit. */
  #restore({ numbers, bytes }: SampleBlock): void {
    let from = 0;
    for (const task of TASKS) {
      for (const number of numbers[task]) {
        const record = bytes.subarray(from, from + this.#recordBytes);
        from += this.#recordBytes;
        const isKnown = Number.isSafeInteger(number) && number >= 0 && number < this.#places[task].length;
        if (!isKnown || record.length < this.#recordBytes) continue;
        if (!this.#kept.add(task, number)) continue;
        const place = this.#records++;
        this.#places[task][number] = place;
        this.#record(place).set(record);
      }
    }
  }
}

/** The store of the last data set, which outlives a connection. */
export class SampleStores {
  readonly #options: SampleStoreOptions;
  #last: SampleStore | null = null;

  constructor(options: SampleStoreOptions) {
    this.#options = options;
  }

  /** See SampleStore.open. */
  async open(job: Job): Promise<SampleStore | null> {
    if (this.#last?.isFor(job) !== true || this.#last.hasFailed) {
      this.flush();
      this.#last = await SampleStore.open(job, this.#options);
    }
    return this.#last;
  }

  /** Stores what is in memory only. */
  flush(): void {
    this.#last?.flush();
  }
}

/** Data sets with the same contents can have other shapes, for another model. */
function sampleKey({ inputs, targets, sampleWeights }: Job, digest: string): string {
  const form = [...inputs, ...targets].map(({ shape, dtype }) => `${dtype}[${shape.join()}]`);
  return [digest, ...form, ...(sampleWeights === true ? ['weights'] : [])].join(' ');
}

const tensorsOf = ({ inputs, targets, weights }: Shard): TensorValues[] => [
  ...inputs,
  ...targets,
  ...(weights === undefined ? [] : [weights]),
];

/** Bytes of the sample at a position. @param samples number of samples in `values` */
function bytesOf(values: TensorValues, position: number, samples: number): Uint8Array {
  const bytes = values.byteLength / samples;
  return new Uint8Array(values.buffer, values.byteOffset + position * bytes, bytes);
}

function copySample(
  to: Shard,
  position: number,
  samples: number,
  from: Shard,
  source: number,
  present: number,
): void {
  const sources = tensorsOf(from);
  tensorsOf(to).forEach((values, i) =>
    bytesOf(values, position, samples).set(bytesOf(sources[i] as TensorValues, source, present)),
  );
}

const malformed = (sentence: string): ProtocolError => new ProtocolError(CloseCode.malformed, sentence);
