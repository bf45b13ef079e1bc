import { FATAL_CLOSE_CODES } from '../../shared/protocol/close-codes.ts';
import type { Notice } from '../../shared/protocol/messages.ts';
import type { WorkerPool } from '../pool/pool.ts';

/** Number of notices of each kind; the oldest are dropped. */
const MAX_NOTICES_PER_KIND = 8;

/** Remembers workers that were refused, banned or put on standby, with reasons. */
export class Notices {
  #notices: Notice[] = [];

  constructor(pool: Pick<WorkerPool, 'subscribe'>) {
    pool.subscribe({
      refused: (reason) => this.#add({ what: 'refused', reason }),
      left: ({ name, engine }, reason, code) => {
        this.#removeStandby(name);
        if (code === undefined || !FATAL_CLOSE_CODES.has(code)) return;
        this.#add({
          what: 'banned',
          who: `${name} (${engine.backend} on ${engine.device})`.slice(0, 100),
          reason,
        });
      },
      standbyChanged: ({ name }, reason) => {
        this.#removeStandby(name);
        if (reason !== null) this.#add({ what: 'standby', who: name, reason });
      },
    });
  }

  /** All notices, the newest last. */
  get all(): readonly Notice[] {
    return this.#notices;
  }

  #removeStandby(name: string): void {
    this.#notices = this.#notices.filter(({ what, who }) => what !== 'standby' || who !== name);
  }

  /** Adds a notice; a repetition increases the count of the existing one. */
  #add(notice: Omit<Notice, 'times'>): void {
    const reason = notice.reason.slice(0, 500);
    const same = (other: Notice): boolean =>
      other.what === notice.what && other.who === notice.who && other.reason === reason;
    const times = 1 + (this.#notices.find(same)?.times ?? 0);
    const others = this.#notices.filter((other) => !same(other));
    const alike = others.filter(({ what }) => what === notice.what);
    const dropped = alike.length >= MAX_NOTICES_PER_KIND ? alike[0] : undefined;
    this.#notices = [...others.filter((other) => other !== dropped), { ...notice, reason, times }];
  }
}
