import { median } from '../../shared/util/median.ts';

/** What training shards have taken lately; medians. */
export interface ShardStats {
  readonly samples: number;
  /** From giving to answer. */
  readonly turnaroundMs: number;
  /** What the worker says that it computed. */
  readonly computeMs: number;
}

/** What is known of a link and its worker, for the codecs that are in use. */
export interface LinkStats extends ShardStats {
  /** There and back for next to nothing. */
  readonly rttMs: number;
  readonly downMsPerByte: number;
  readonly upMsPerByte: number;
}

/** Bytes that have crossed a link. */
export interface Delivery {
  readonly bytes: number;
  /** From when the first of them was sent until the answer to a ping behind the last was back. */
  readonly elapsedMs: number;
}

const WINDOW = 5;
/** Pieces of gradients: a few steps of them. */
const UPLOAD_WINDOW = 16;
const MAX_RTTS = 20;
const MIN_ANSWERS = 2;
const MIN_BYTES = 32 << 10;

/** Learns the figures of one link. Medians of what was seen lately: a hiccup changes nothing. */
export class LinkMeter {
  readonly #rttsMs: number[] = [];
  readonly #down: number[] = [];
  readonly #up: number[] = [];
  #shards: ShardStats[] = [];
  /** Answers that say nothing: they wait for weights that come whole, once more. */
  #answersToSkip = 0;

  /**
   * @param deliveries of which the answer to one ping told. What was sent in between may have had to wait for what was sent
   *   before, so each is a least rate: sum of bytes / time since the first of them; the link's own is the largest of these
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
    if (bytes >= MIN_BYTES) pushRecent(this.#up, elapsedMs / bytes, UPLOAD_WINDOW);
  }

  recordAnswer(shard: ShardStats): void {
    if (this.#answersToSkip-- > 0) return;
    pushRecent(this.#shards, shard, WINDOW);
  }

  /** Other codecs are in use: what answers took before says nothing any more, nor does the next one. */
  onCodecChange(): void {
    this.#shards = [];
    this.#answersToSkip = 1;
  }

  /** null until enough is known. */
  get shard(): ShardStats | null {
    if (this.#shards.length < MIN_ANSWERS) return null;
    const medianBy = (key: (shard: ShardStats) => number): number => median(this.#shards.map(key)) ?? 0;
    return {
      samples: medianBy(({ samples }) => samples),
      turnaroundMs: medianBy(({ turnaroundMs }) => turnaroundMs),
      computeMs: medianBy(({ computeMs }) => computeMs),
    };
  }

  /** null until enough is known, and while nothing large has crossed the link. */
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

function pushRecent<Value>(values: Value[], value: Value, most: number): void {
  values.push(value);
  if (values.length > most) values.shift();
}

/** The last but one: what has waited here while the coordinator was busy seems to have come at once. */
const secondLargest = (values: readonly number[]): number | null =>
  values.toSorted((a, b) => b - a)[Math.min(1, values.length - 1)] ?? null;
