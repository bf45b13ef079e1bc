/** Memory of a chunk beside its bytes: clients may send a byte at a time. */
const CHUNK_OVERHEAD_BYTES = 256;

/** How one message after another comes in, chunk by chunk. */
export class ReceiveTiming {
  #firstBytes = 0;
  #bytes = 0;
  #chunks = 0;
  #startedMs = 0;
  #lastMs = 0;
  #lastMessage: { readonly bytes: number; readonly ms: number } | undefined;

  /** A chunk has come. */
  addChunk(bytes: number, nowMs: number): void {
    if (this.#bytes === 0) {
      this.#startedMs = nowMs;
      this.#firstBytes = bytes;
    }
    this.#bytes += bytes;
    this.#chunks++;
    this.#lastMs = nowMs;
  }

  /** A message is whole: its last chunk has just come. */
  endMessage(): void {
    this.#lastMessage = { bytes: this.#bytes - this.#firstBytes, ms: this.#lastMs - this.#startedMs };
    this.#bytes = 0;
    this.#chunks = 0;
  }

  /** Bytes of the message that is not complete. */
  get unfinishedBytes(): number {
    return this.#bytes;
  }

  /** Memory that these take. */
  get unfinishedMemoryBytes(): number {
    return this.#bytes + this.#chunks * CHUNK_OVERHEAD_BYTES;
  }

  /** Of the last message: bytes behind its first chunk, and the time from that to its end. */
  get lastMessage(): { readonly bytes: number; readonly ms: number } | undefined {
    return this.#lastMessage;
  }
}
