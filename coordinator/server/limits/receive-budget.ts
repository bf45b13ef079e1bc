import type { Clock } from '../../../shared/util/clock.ts';

/** A connection whose messages are counted while they are incomplete. */
export interface Receiver {
  /** Stops reading; what the peer sends waits in the network. */
  pause(): void;
  resume(): void;
  /** Closes the connection: others wait for the memory that its message holds. */
  expire(): void;
}

/** The count of one connection. */
export interface ReceiveAccount {
  /** @param bytes held of messages that are not complete, by whomever */
  setHeldBytes(bytes: number): void;
  close(): void;
}

export interface ReceiveBudgetOptions {
  readonly clock: Clock;
  /** The largest message. */
  readonly maxFrameBytes: number;
  /** Messages of more than SMALL_BYTES that may be incomplete at once. */
  readonly maxLarge?: number;
}

/** Messages of so many bytes are not counted: a thousand connections may hold 64 MiB of them. */
export const SMALL_BYTES = 64 << 10;
/** Of incomplete large messages in all: 50 gradients of a million values. */
const MAX_BYTES = 256 << 20;
/** So many may come at once even if they are larger than that. */
const MIN_LARGE = 8;
const CHECK_INTERVAL_MS = 1_000;
/** What comes more slowly than half a megabit a second must not make others wait. */
const MIN_BYTES_PER_CHECK = 64 << 10;
const MAX_SLOW_CHECKS = 2;

interface Account {
  readonly receiver: Receiver;
  bytes: number;
  bytesAtCheck: number;
  slowChecks: number;
}

/**
 * Bounds the memory of incomplete messages: only so many large ones are received at once. The others are not read until
 * one of those is complete; while any waits, one that does not make progress is closed.
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
      close: () => this.#setHeldBytes(account, 0),
    };
  }

  #setHeldBytes(account: Account, bytes: number): void {
    account.bytes = bytes;
    if (bytes <= SMALL_BYTES) {
      this.#paused.delete(account);
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
      const came = account.bytes - account.bytesAtCheck;
      account.slowChecks = came < MIN_BYTES_PER_CHECK ? account.slowChecks + 1 : 0;
      account.bytesAtCheck = account.bytes;
      if (account.slowChecks >= MAX_SLOW_CHECKS) slow.push(account);
    }
    // Each gives its place back as it closes; no more have to go than wait.
    for (const { receiver } of slow.slice(0, this.#paused.size)) receiver.expire();
    if (this.#paused.size > 0) this.#scheduleCheck();
  }

  #scheduleCheck(): void {
    if (this.#isCheckScheduled) return;
    this.#isCheckScheduled = true;
    this.#clock.after(CHECK_INTERVAL_MS, () => this.#check());
  }
}
