import type { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { FromWorker, ShardId } from '../../shared/protocol/messages.ts';
import type { Worker } from './worker.ts';

/** What happens among the workers; a listener has what it wants to hear. */
export interface PoolListener {
  joined?(member: Worker): void;
  /** @param code with which it was dropped; none if it went by itself */
  left?(member: Worker, reason: string, code?: CloseCode): void;
  answered?(member: Worker, message: Extract<FromWorker, { shard: ShardId }>, payload: Uint8Array): void;
  /** Somebody was not let in. */
  refused?(reason: string): void;
  /** A step is faster without this worker, for that reason; or, with null, is not any more. */
  standbyChanged?(member: Worker, reason: string | null): void;
  /** Its vectors travel in another way from now on, for this reason. */
  codecChanged?(member: Worker, reason: string): void;
}

/** Everybody who hears what happens, in the order in which they began to listen. */
export class PoolEvents {
  readonly #listeners = new Set<PoolListener>();

  /** @returns what ends the listening */
  add(listener: PoolListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells all of them, those too that begin to listen meanwhile. */
  emit(call: (listener: PoolListener) => void): void {
    this.#listeners.forEach(call);
  }
}
