import type { Clock } from '../../shared/clock.ts';
import { CloseCode } from '../../shared/protocol/close-code.ts';
import type { Member } from './member.ts';

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly everyMs: number;
  /** A worker that has said nothing for this long is gone, unless the work allows for more. */
  readonly silenceMs: number;
  /** More than that waiting to be sent to a worker is too much. */
  readonly clogBytes: number;
  readonly everybody: () => readonly Member[];
  /** Whether a worker is still building the model. */
  readonly isPreparing: (member: Member) => boolean;
  readonly ping: (member: Member, id: number) => void;
  readonly drop: (member: Member, code: CloseCode, reason: string) => void;
}

/** As long as the first shard of a run may be kept. */
const WARM_UP_MS = 180_000;
/** A place is for computing: a model is built in seconds, on a slow phone in some tens. */
const READY_WITHIN_MS = 60_000;

/** Pings everybody now and then, and has those dropped who have gone silent or do not read what they are sent. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #silenceMs: number;
  /** Sent so far, by whomever; each has its number. */
  #pings = 0;
  #last: { readonly id: number; readonly sentMs: number } | null = null;
  #cancel: () => void;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#silenceMs = options.silenceMs;
    this.#cancel = options.clock.after(options.everyMs, () => this.#beat());
  }

  /** The number of a ping; no two have the same. */
  nextPing(): number {
    return this.#pings++;
  }

  /** @returns the round-trip time of the last beat in ms; null if the pong is to another ping */
  answered(id: number): number | null {
    return this.#last?.id === id ? this.#options.clock.now() - this.#last.sentMs : null;
  }

  /** Workers that take long are given longer before their silence counts. */
  allowSilence(ms: number): void {
    this.#silenceMs = Math.max(this.#options.silenceMs, ms);
  }

  /** Whether what a worker was sent piles up, since it does not read it or the link is too slow. */
  isClogged({ connection }: Member): boolean {
    return connection.bufferedBytes > this.#options.clogBytes;
  }

  stop(): void {
    this.#cancel();
  }

  #beat(): void {
    const { clock, everyMs, everybody, isPreparing, ping, drop } = this.#options;
    const nowMs = clock.now();
    const id = this.nextPing();
    this.#last = { id, sentMs: nowMs };
    for (const member of everybody()) {
      const silentMs = nowMs - member.lastHeardMs;
      // An engine that warms up on its first shard may block its own thread for long.
      const warmingUp = member.accepted === 0 && member.shards.size > 0;
      if (silentMs > (warmingUp ? Math.max(this.#silenceMs, WARM_UP_MS) : this.#silenceMs)) {
        drop(member, CloseCode.timeout, `Nothing heard for ${Math.round(silentMs / 1000)} s.`);
      } else if (isPreparing(member) && nowMs - member.welcomedMs > READY_WITHIN_MS) {
        drop(member, CloseCode.timeout, `Not ready within ${READY_WITHIN_MS / 1000} s.`);
      } else if (this.#cloggedMs(member, nowMs) > this.#silenceMs) {
        drop(member, CloseCode.timeout, 'It does not read what it is sent.');
      } else {
        ping(member, id);
      }
    }
    this.#cancel = clock.after(everyMs, () => this.#beat());
  }

  /** For how long too much has been waiting to be sent. */
  #cloggedMs(member: Member, nowMs: number): number {
    member.cloggedSinceMs = this.isClogged(member) ? (member.cloggedSinceMs ?? nowMs) : null;
    return member.cloggedSinceMs === null ? 0 : nowMs - member.cloggedSinceMs;
  }
}
