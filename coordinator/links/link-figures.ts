/** What is known of a link and its worker, for the codecs that are in use. */
export interface LinkFigures {
  /** There and back for next to nothing. */
  readonly rttMs: number;
  readonly downMsPerByte: number;
  readonly upMsPerByte: number;
  /** Of shards lately: from giving to answer, and what the worker says that it computed. */
  readonly turnaroundMs: number;
  readonly computeMs: number;
}

const RECENT = 5;
const MOST_RTTS = 20;
/** The first answer waits for weights that come whole, and for an engine that warms up. */
const LEAST_ANSWERS = 2;
const LEAST_BYTES = 32 << 10;

/** Learns the figures of one link. Medians of what was seen lately: a hiccup changes nothing. */
export class LinkMeter {
  readonly #rttsMs: number[] = [];
  readonly #down: number[] = [];
  readonly #up: number[] = [];
  #turnaroundsMs: number[] = [];
  #computesMs: number[] = [];
  #toSkip = 1;

  /** @param elapsedMs until the answer to a ping behind these bytes was back */
  delivered(bytes: number, elapsedMs: number): void {
    if (bytes < LEAST_BYTES) keep(this.#rttsMs, elapsedMs, MOST_RTTS);
    else keep(this.#down, Math.max(0, elapsedMs - this.#rttMs) / bytes, RECENT);
  }

  /** @param elapsedMs between the first and the last of these bytes */
  arrived(bytes: number, elapsedMs: number): void {
    if (bytes >= LEAST_BYTES) keep(this.#up, elapsedMs / bytes, RECENT);
  }

  answered(turnaroundMs: number, computeMs: number): void {
    if (this.#toSkip-- > 0) return;
    keep(this.#turnaroundsMs, turnaroundMs, RECENT);
    keep(this.#computesMs, computeMs, RECENT);
  }

  /** Other codecs are in use: what answers took before says nothing any more, nor does the next one. */
  changed(): void {
    this.#turnaroundsMs = [];
    this.#computesMs = [];
    this.#toSkip = 1;
  }

  /** null until enough is known. */
  get figures(): LinkFigures | null {
    if (this.#turnaroundsMs.length < LEAST_ANSWERS) return null;
    const [down, up] = [medianOf(this.#down), medianOf(this.#up)];
    if (down === null && up === null) return null;
    return {
      rttMs: this.#rttMs,
      downMsPerByte: down ?? up ?? 0,
      upMsPerByte: up ?? down ?? 0,
      turnaroundMs: medianOf(this.#turnaroundsMs) ?? 0,
      computeMs: medianOf(this.#computesMs) ?? 0,
    };
  }

  get #rttMs(): number {
    return this.#rttsMs.length === 0 ? 0 : Math.min(...this.#rttsMs);
  }
}

function keep(values: number[], value: number, most: number): void {
  values.push(value);
  if (values.length > most) values.shift();
}

function medianOf(values: readonly number[]): number | null {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? null;
}
