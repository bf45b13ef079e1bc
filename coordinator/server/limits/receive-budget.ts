import type { Clock } from '../../../shared/util/clock.ts';

/** A connection whose incomplete messages count against the budget. */
export interface Receiver {
  /** Stops reading; data of the client waits in the network. */
  pause(): void;
  resume(): void;
  /** Closes the connection, because others wait for the memory of its message. */
  expire(): void;
}

/** Account of one connection. */
export interface ReceiveAccount {
  /** @param bytes memory of the connection's incomplete messages, in all buffers */
  setHeldBytes(bytes: number): void;
  close(): void;
}

export interface ReceiveBudgetOptions {
  readonly clock: Clock;
  /** Size of the largest message. */
  readonly maxFrameBytes: number;
  /** Number of messages larger than SMALL_BYTES that may be incomplete at a time. */
  readonly maxLarge?: number;
}

/** Messages up to this size do not count: a thousand connections hold at most 64 MiB of them. */
export const SMALL_BYTES = 64 << 10;
/** Memory of all incomplete large messages: 50 gradients of a million values. */
const MAX_BYTES = 256 << 20;
/** Number of large messages that are always received at a time, even if they exceed MAX_BYTES. */
const MIN_LARGE = 8;
const CHECK_INTERVAL_MS = 1_000;
/** A message slower than half a megabit a second must not block others. */
const MIN_BYTES_PER_CHECK = 64 << 10;
const MAX_SLOW_CHECKS = 2;

interface Account {
  readonly receiver: Receiver;
  bytes: number;
  bytesAtCheck: number;
  slowChecks: number;
}

/**
 * Limits the memory of incomplete messages by the number of large messages that are received at a time. Other
 * connections with large messages are paused until one of them is complete. While a connection is paused, connections
 * that receive too slowly are closed.
 */
export class ReceiveBudget {
  readonly #clock: Clock;
  readonly #maxLarge: number;
  readonly #large = new Set<Account>();
  readonly #paused = new Set<Account>();
  #isCheckScheduled = false;

  constructor({ clock, maxFrameBytes, maxLarge }: ReceiveBudgetOptions) {
    this.#clock = clock;
    this.#maxLarge = maxLarge ?? Math.max(MIN_LARGE, Math.floor(MAX_BYTES / maxFrameBytes));
  }

  open(receiver: Receiver): ReceiveAccount {
    const account: Account = { receiver, bytes: 0, bytesAtCheck: 0, slowChecks: 0 };
    return {
      setHeldBytes: (bytes) => this.#setHeldBytes(account, bytes),
      close: () => {
        this.#paused.delete(account);
        this.#setHeldBytes(account, 0);
      },
    };
  }

  #setHeldBytes(account: Account, bytes: number): void {
    account.bytes = bytes;
    if (bytes <= SMALL_BYTES) {
      // The chunk with which a message became large may also have its end.
      if (this.#paused.delete(account)) account.receiver.resume();
      if (this.#large.delete(account)) this.#admitNext();
    } else if (!this.#large.has(account) && !this.#paused.has(account)) {
      if (this.#large.size < this.#maxLarge) this.#admit(account);
      else {
        this.#paused.add(account);
        account.receiver.pause();
        this.#scheduleCheck();
      }
    }
  }

  #admit(account: Account): void {
    account.bytesAtCheck = account.bytes;
    account.slowChecks = 0;
    this.#large.add(account);
  }

  #admitNext(): void {
    for (const account of this.#paused) {
      if (this.#large.size >= this.#maxLarge) return;
      this.#paused.delete(account);
      this.#admit(account);
      account.receiver.resume();
    }
  }

  #check(): void {
    this.#isCheckScheduled = false;
    if (this.#paused.size === 0) return;
    const slow: Account[] = [];
    for (const account of this.#large) {
      const receivedBytes = account.bytes - account.bytesAtCheck;
      account.slowChecks = receivedBytes < MIN_BYTES_PER_CHECK ? account.slowChecks + 1 : 0;
      account.bytesAtCheck = account.bytes;
      if (account.slowChecks >= MAX_SLOW_CHECKS) slow.push(account);
    }
    // Each closed connection admits a paused one, so no more than that are closed.
    for (const { receiver } of slow.slice(0, this.#paused.size)) receiver.expire();
    if (this.#paused.size > 0) this.#scheduleCheck();
  }

  #scheduleCheck(): void {
    if (this.#isCheckScheduled) return;
    this.#isCheckScheduled = true;
    this.#clock.after(CHECK_INTERVAL_MS, () => this.#check());
  }
}
