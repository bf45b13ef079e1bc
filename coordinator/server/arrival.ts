/** How one message after another comes in, chunk by chunk. */
export class Arrival {
  #firstBytes = 0;
  #bytes = 0;
  #startedMs = 0;
  #lastMs = 0;
  #last: { readonly bytes: number; readonly ms: number } | undefined;

  /** A chunk has come. */
  came(bytes: number, nowMs: number): void {
    if (this.#bytes === 0) {
      this.#startedMs = nowMs;
      this.#firstBytes = bytes;
    }
    this.#bytes += bytes;
    this.#lastMs = nowMs;
  }

  /** A message is whole: its last chunk has just come. */
  whole(): void {
    this.#last = { bytes: this.#bytes - this.#firstBytes, ms: this.#lastMs - this.#startedMs };
    this.#bytes = 0;
  }

  /** Of the last message: bytes behind its first chunk, and the time from that to its end. */
  get last(): { readonly bytes: number; readonly ms: number } | undefined {
    return this.#last;
  }
}
