/**
 * Values from callbacks, taken by a `for await` loop in the order in which they came. One consumer.
 *
 * @example
 * const queue = new AsyncQueue<number>();
 * socket.on('message', (value) => queue.push(value));
 * for await (const value of queue) sum += value; // until end() or fail()
 */
export class AsyncQueue<Value> implements AsyncIterable<Value> {
  readonly #values: Value[] = [];
  #end: { readonly error: Error | null } | null = null;
  #wake: (() => void) | null = null;

  /** Whether end() or fail() was called. */
  get isEnded(): boolean {
    return this.#end !== null;
  }

  /** Adds a value; ignored after the end. */
  push(value: Value): void {
    if (this.isEnded) return;
    this.#values.push(value);
    this.#wake?.();
  }

  /** The loop ends after the values that are there. */
  end(): void {
    this.#finish(null);
  }

  /** The loop throws this error after the values that are there. */
  fail(error: Error): void {
    this.#finish(error);
  }

  #finish(error: Error | null): void {
    if (this.isEnded) return;
    this.#end = { error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Value, void, undefined> {
    for (;;) {
      const value = this.#values.shift();
      if (value !== undefined) {
        yield value;
      } else if (this.#end !== null) {
        if (this.#end.error !== null) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = null;
      }
    }
  }
}
