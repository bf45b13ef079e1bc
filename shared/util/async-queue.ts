/**
 * Queue from callbacks to a `for await` loop, first in, first out. For one consumer.
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

  /** Adds a value. Ignored after the end. */
  push(value: Value): void {
    if (this.isEnded) return;
    this.#values.push(value);
    this.#wake?.();
  }

  /** Ends the loop after the queued values. Ignored after the end. */
  end(): void {
    this.#finish(null);
  }

  /** Makes the loop throw this error after the queued values. Ignored after the end. */
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
