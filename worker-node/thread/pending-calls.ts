import type { CallId } from './messages.ts';

interface PendingCall {
  readonly settle: (answer: never) => void;
  readonly fail: (error: Error) => void;
  readonly onTail: () => void;
}

/** What the engine's thread was asked for and has not answered. Once the thread is dead every call fails, also new ones. */
export class PendingCalls {
  readonly #pending = new Map<CallId, PendingCall>();
  #nextId = 0;
  #failure: Error | null = null;

  /**
   * @param post sends the question
   * @param onTail hears that the answer's tail is there
   * @returns the answer; rejects with what went wrong
   */
  request<Answer>(post: (call: CallId) => void, onTail: () => void = () => undefined): Promise<Answer> {
    return new Promise((settle, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      const call = this.#nextId++ as CallId;
      this.#pending.set(call, { settle, fail: reject, onTail });
      post(call);
    });
  }

  resolve(call: CallId, answer: unknown): void {
    this.#remove(call)?.settle(answer as never);
  }

  tail(call: CallId): void {
    this.#pending.get(call)?.onTail();
  }

  fail(call: CallId, error: Error): void {
    this.#remove(call)?.fail(error);
  }

  /** The thread will answer nothing any more. */
  rejectAll(error: Error): void {
    this.#failure ??= error;
    for (const call of [...this.#pending.keys()]) this.fail(call, error);
  }

  #remove(call: CallId): PendingCall | undefined {
    const waiting = this.#pending.get(call);
    this.#pending.delete(call);
    return waiting;
  }
}
