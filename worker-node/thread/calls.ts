import type { CallId } from './messages.ts';

interface Waiting {
  readonly settle: (answer: never) => void;
  readonly fail: (error: Error) => void;
  readonly onTail: () => void;
}

/** What the engine's thread was asked for and has not answered. Once the thread is dead every call fails, also new ones. */
export class Calls {
  readonly #waiting = new Map<CallId, Waiting>();
  #next = 0;
  #dead: Error | null = null;

  /**
   * @param post sends the question
   * @param onTail hears that the answer's tail is there
   * @returns the answer; rejects with what went wrong
   */
  ask<Answer>(post: (call: CallId) => void, onTail: () => void = () => undefined): Promise<Answer> {
    return new Promise((settle, fail) => {
      if (this.#dead !== null) {
        fail(this.#dead);
        return;
      }
      const call = this.#next++ as CallId;
      this.#waiting.set(call, { settle, fail, onTail });
      post(call);
    });
  }

  answer(call: CallId, answer: unknown): void {
    this.#take(call)?.settle(answer as never);
  }

  tail(call: CallId): void {
    this.#waiting.get(call)?.onTail();
  }

  fail(call: CallId, error: Error): void {
    this.#take(call)?.fail(error);
  }

  /** The thread will answer nothing any more. */
  failAll(error: Error): void {
    this.#dead ??= error;
    for (const call of [...this.#waiting.keys()]) this.fail(call, error);
  }

  #take(call: CallId): Waiting | undefined {
    const waiting = this.#waiting.get(call);
    this.#waiting.delete(call);
    return waiting;
  }
}
