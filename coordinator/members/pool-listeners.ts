import type { CloseCode } from '../../shared/protocol/close-code.ts';
import type { FromWorker, ShardId } from '../../shared/protocol/messages.ts';
import type { Member } from './member.ts';

/** What happens among the workers; a listener has what it wants to hear. */
export interface PoolListener {
  joined?(member: Member): void;
  /** @param code with which it was dropped; none if it went by itself */
  left?(member: Member, reason: string, code?: CloseCode): void;
  answered?(member: Member, message: Extract<FromWorker, { shard: ShardId }>, payload: Uint8Array): void;
  /** Somebody was not let in. */
  refused?(reason: string): void;
  /** A step is faster without this worker, for that reason; or, with null, is not any more. */
  reserved?(member: Member, reason: string | null): void;
  /** Its vectors travel in another way from now on, for this reason. */
  recoded?(member: Member, reason: string): void;
}

/** Everybody who hears what happens, in the order in which they began to listen. */
export class PoolListeners {
  readonly #listeners = new Set<PoolListener>();

  /** @returns what ends the listening */
  add(listener: PoolListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells all of them, those too that begin to listen meanwhile. */
  tell(call: (listener: PoolListener) => void): void {
    this.#listeners.forEach(call);
  }
}
