/** What training shards have taken lately; medians. */
export interface ShardFigures {
  readonly samples: number;
  /** From giving to answer. */
  readonly turnaroundMs: number;
  /** What the worker says that it computed. */
  readonly computeMs: number;
}

/** What is known of a link and its worker, for the codecs that are in use. */
export interface LinkFigures extends ShardFigures {
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

const RECENT = 5;
/** Pieces of gradients: a few steps of them. */
const RECENT_UP = 16;
const MOST_RTTS = 20;
const LEAST_ANSWERS = 2;
const LEAST_BYTES = 32 << 10;

/** Learns the figures of one link. Medians of what was seen lately: a hiccup changes nothing. */
export class LinkMeter {
  readonly #rttsMs: number[] = [];
  readonly #down: number[] = [];
  readonly #up: number[] = [];
  #shards: ShardFigures[] = [];
  /** Answers that say nothing: they wait for weights that come whole, once more. */
  #toSkip = 0;

  /**
   * @param deliveries of which the answer to one ping told. What was sent in between may have had to wait for what was sent
   *   before, so each is a least rate: sum of bytes / time since the first of them; the link's own is the largest of these
   */
  delivered(deliveries: readonly Delivery[]): void {
    const large = deliveries.filter(({ bytes }) => bytes >= LEAST_BYTES);
    if (large.length === 0) {
      for (const { elapsedMs } of deliveries) keep(this.#rttsMs, elapsedMs, MOST_RTTS);
    } else {
      const msPerByte = large.map(({ bytes, elapsedMs }) => Math.max(0, elapsedMs - this.#rttMs) / bytes);
      keep(this.#down, Math.min(...msPerByte), RECENT);
    }
  }

  /** @param elapsedMs between the first and the last of these bytes */
  arrived(bytes: number, elapsedMs: number): void {
    if (bytes >= LEAST_BYTES) keep(this.#up, elapsedMs / bytes, RECENT_UP);
  }

  answered(shard: ShardFigures): void {
    if (this.#toSkip-- > 0) return;
    keep(this.#shards, shard, RECENT);
  }

  /** Other codecs are in use: what answers took before says nothing any more, nor does the next one. */
  changed(): void {
    this.#shards = [];
    this.#toSkip = 1;
  }

  /** null until enough is known. */
  get shard(): ShardFigures | null {
    if (this.#shards.length < LEAST_ANSWERS) return null;
    const median = (of: (shard: ShardFigures) => number): number => medianOf(this.#shards.map(of)) ?? 0;
    return {
      samples: median(({ samples }) => samples),
      turnaroundMs: median(({ turnaroundMs }) => turnaroundMs),
      computeMs: median(({ computeMs }) => computeMs),
    };
  }

  /** null until enough is known, and while nothing large has crossed the link. */
  get figures(): LinkFigures | null {
    const { shard } = this;
    if (shard === null) return null;
    const [down, up] = [medianOf(this.#down), slowOf(this.#up)];
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

function keep<Value>(values: Value[], value: Value, most: number): void {
  values.push(value);
  if (values.length > most) values.shift();
}

/** The last but one: what has waited here while the coordinator was busy seems to have come at once. */
const slowOf = (values: readonly number[]): number | null =>
  values.toSorted((a, b) => b - a)[Math.min(1, values.length - 1)] ?? null;

function medianOf(values: readonly number[]): number | null {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? null;
}
