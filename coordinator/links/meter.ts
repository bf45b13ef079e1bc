import type { ShardId, Step } from '../../shared/protocol/messages.ts';
import { median } from '../../shared/util/median.ts';

/** Medians of a worker's recent training shards. */
export interface ShardStats {
  readonly samples: number;
  /** Time from the assignment to the answer. */
  readonly turnaroundMs: number;
  /** Computing time, as the worker reports it. */
  readonly computeMs: number;
}

/** Times of one training shard, in milliseconds of the coordinator's clock. */
export interface ShardTiming {
  readonly step: Step;
  readonly shard: ShardId;
  readonly samples: number;
  readonly assignedMs: number;
  /** Null until the shard is answered. */
  readonly answer: {
    readonly atMs: number;
    /** Computing time, as the worker reports it. */
    readonly computeMs: number;
    /** Between the first and the last byte of the answer, or of its last bucket. */
    readonly receiveMs: number;
  } | null;
}

/** Measurements of a link and its worker, with the codecs that are in use. */
export interface LinkStats extends ShardStats {
  /** Round trip of a message without payload. */
  readonly rttMs: number;
  readonly downMsPerByte: number;
  readonly upMsPerByte: number;
}

/** Bytes that have crossed a link. */
export interface Delivery {
  readonly bytes: number;
  /** Time from sending the first of them until the answer to the ping behind the last. */
  readonly elapsedMs: number;
}

const WINDOW = 5;
/** Gradients arrive in several buckets: enough for a few steps. */
const UPLOAD_WINDOW = 16;
const MAX_RTTS = 20;
const MIN_ANSWERS = 2;
const MIN_BYTES = 32 << 10;
/** Shards of one step: a worker usually has one, and some more if others leave. */
const MAX_TIMINGS = 16;

/** Measures one link. Its stats are medians of recent measurements, so that one slow message changes nothing. */
export class LinkMeter {
  readonly #rttsMs: number[] = [];
  readonly #down: number[] = [];
  readonly #up: number[] = [];
  #shards: ShardStats[] = [];
  /** Number of answers to ignore: the first one after a codec switch still waits for whole weights. */
  #answersToSkip = 0;
  #timings: ShardTiming[] = [];
  #lastReceiveMs = 0;

  /** Timings of the shards of the last training step that the worker took part in, in the order of assignment. */
  get timings(): readonly ShardTiming[] {
    return this.#timings;
  }

  /** Records the assignment of a training shard. */
  recordAssignment(shard: Omit<ShardTiming, 'answer'>): void {
    if (this.#timings[0]?.step !== shard.step) this.#timings = [];
    pushRecent(this.#timings, { ...shard, answer: null }, MAX_TIMINGS);
  }

  /** Records the end of an assigned training shard; nothing if a later step has begun. */
  recordEnd(shard: ShardId, atMs: number, computeMs: number): void {
    this.#timings = this.#timings.map((timing) =>
      timing.shard === shard
        ? { ...timing, answer: { atMs, computeMs, receiveMs: this.#lastReceiveMs } }
        : timing,
    );
  }

  /**
   * Records the measurements of one ping.
   * @param deliveries all messages before the ping, then without the first, and so on. A message may have waited for
   *   earlier ones, or the link for the next message, so each is a lower bound of the rate; the highest one counts
   */
  recordDownload(deliveries: readonly Delivery[]): void {
    const large = deliveries.filter(({ bytes }) => bytes >= MIN_BYTES);
    if (large.length === 0) {
      for (const { elapsedMs } of deliveries) pushRecent(this.#rttsMs, elapsedMs, MAX_RTTS);
    } else {
      const msPerByte = large.map(({ bytes, elapsedMs }) => Math.max(0, elapsedMs - this.#rttMs) / bytes);
      pushRecent(this.#down, Math.min(...msPerByte), WINDOW);
    }
  }

  /** @param elapsedMs between the first and the last of these bytes */
  recordUpload(bytes: number, elapsedMs: number): void {
    this.#lastReceiveMs = elapsedMs;
    if (bytes >= MIN_BYTES) pushRecent(this.#up, elapsedMs / bytes, UPLOAD_WINDOW);
  }

  recordAnswer(shard: ShardStats): void {
    if (this.#answersToSkip-- > 0) return;
    pushRecent(this.#shards, shard, WINDOW);
  }

  /** Forgets the answers so far, and ignores the next one: their times are those of other codecs. */
  onCodecChange(): void {
    this.#shards = [];
    this.#answersToSkip = 1;
  }

  /** Recent shards; null before MIN_ANSWERS. */
  get shard(): ShardStats | null {
    if (this.#shards.length < MIN_ANSWERS) return null;
    const medianOf = (key: (shard: ShardStats) => number): number => median(this.#shards.map(key)) ?? 0;
    return {
      samples: medianOf(({ samples }) => samples),
      turnaroundMs: medianOf(({ turnaroundMs }) => turnaroundMs),
      computeMs: medianOf(({ computeMs }) => computeMs),
    };
  }

  /** All measurements; null before MIN_ANSWERS, and before a large message has crossed the link. */
  get stats(): LinkStats | null {
    const { shard } = this;
    if (shard === null) return null;
    const down = median(this.#down);
    const up = secondLargest(this.#up);
    if (down === null && up === null) return null;
    return {
      rttMs: this.#rttMs,
      downMsPerByte: down ?? up ?? 0,
      upMsPerByte: up ?? down ?? 0,
      ...shard,
    };
  }

  get #rttMs(): number {
    return this.#rttsMs.length === 0 ? 0 : Math.min(...this.#rttsMs);
  }
}

function pushRecent<Value>(values: Value[], value: Value, maxLength: number): void {
  values.push(value);
  if (values.length > maxLength) values.shift();
}

/** The second slowest upload: bytes that waited while the coordinator was busy seem to arrive all at once, too fast. */
const secondLargest = (values: readonly number[]): number | null =>
  values.toSorted((a, b) => b - a)[Math.min(1, values.length - 1)] ?? null;
