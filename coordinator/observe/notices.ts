import { FATAL_CLOSE_CODES } from '../../shared/protocol/close-codes.ts';
import type { Notice } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { codecLabel } from '../links/codecs.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Log } from '../report/log.ts';
import { pluralize } from '../report/reporter.ts';
import { StandbyChanges } from '../../shared/worker/standby-changes.ts';
import { throttleLog } from '../report/throttle.ts';
import { TokenBucket } from '../server/limits/token-bucket.ts';

/** Number of notices of each kind; the oldest are dropped. */
const MAX_NOTICES_PER_KIND = 8;

/** Time for which a refusal is shown: a wrong token is news when it happens. */
const REFUSAL_MS = 5 * 60_000;

/** Remembers workers that were banned, put on standby or lately refused, with reasons. */
export class Notices {
  #notices: Notice[] = [];
  #refusedMs = -Infinity;
  readonly #clock: Pick<Clock, 'now'>;

  constructor(pool: Pick<WorkerPool, 'subscribe'>, clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
    pool.subscribe({
      refused: (reason) => {
        this.#refusedMs = clock.now();
        this.#add({ what: 'refused', reason });
      },
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
    if (this.#clock.now() - this.#refusedMs >= REFUSAL_MS)
      this.#notices = this.#notices.filter(({ what }) => what !== 'refused');
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

/** Log of workers and other clients. */
export interface ClientLog {
  /** @param sentence why a client was refused */
  readonly refused: (sentence: string) => void;
  readonly connectionError: (sentence: string) => void;
  /** Ends the lines about workers that leave: at the end of a run all of them do. */
  finish(): void;
  /** Writes the numbers of suppressed lines. */
  close(): void;
}

/** Lines about workers that join and leave: one for each possible slot, then one a second. */
const JOIN_LOG_LIMIT = { burst: 2_000, perSecond: 1 };

/** Lines about a worker's codecs: on an unsteady link they may change every few steps. */
const CODEC_LOG_LIMIT = { burst: 3, perSecond: 1 / 60 };

/** Logs workers that join, leave, are refused or change their work. No client can fill the log. */
export function logClients(pool: Pick<WorkerPool, 'subscribe'>, report: Log, clock: Clock): ClientLog {
  const refusals = throttleLog(
    (line) => report.warn(line, { event: 'refused' }),
    (count) => `... and ${count} more refusals.`,
    clock,
  );
  const connectionErrors = throttleLog(
    (line) => report.warn(line, { event: 'connectionError' }),
    (count) => `... and ${count} more connection errors.`,
    clock,
  );
  // A client that keeps reconnecting must not fill the log.
  const joinBudget = new TokenBucket(JOIN_LOG_LIMIT, clock.now());
  const joinNotice = throttleLog(
    () =>
      report.info('Workers join and leave too often to list each of them.', { event: 'joinLogThrottled' }),
    () => '',
    clock,
  );
  const logJoin = (...entry: Parameters<Log['info']>): void => {
    if (joinBudget.spend(clock.now())) report.info(...entry);
    else joinNotice.write(entry[0]);
  };
  const standbyChanges = new StandbyChanges();
  const codecBudgets = new Map<string, TokenBucket>();
  const mayLogCodec = (name: string): boolean => {
    const budget = codecBudgets.get(name) ?? new TokenBucket(CODEC_LOG_LIMIT, clock.now());
    codecBudgets.set(name, budget);
    return budget.spend(clock.now());
  };
  let isFinished = false;
  pool.subscribe({
    joined: ({ name, engine, link: workerLink }) => {
      const threads = pluralize(engine.threads, 'thread');
      const codecs = codecLabel(workerLink);
      const link = codecs === codecLabel({ codec: 'float32', updateCodec: null }) ? '' : `, ${codecs}`;
      logJoin(`+ ${name} joined: ${engine.backend} on ${engine.device}, ${threads}${link}`, {
        event: 'joined',
        worker: name,
        codecs,
        ...engine,
      });
    },
    left({ name }, reason) {
      standbyChanges.forget(name);
      codecBudgets.delete(name);
      if (!isFinished) logJoin(`- ${name} left: ${reason}`, { event: 'left', worker: name, reason });
    },
    refused: (reason) => refusals.write(`A worker was refused: ${reason}`),
    codecChanged({ name, link }, reason) {
      if (!mayLogCodec(name)) return;
      report.info(`${name}: ${reason}`, { event: 'codecChanged', worker: name, codecs: codecLabel(link) });
    },
    standbyChanged({ name }, reason) {
      if (!standbyChanges.isNews(name, reason !== null, clock.now())) return;
      report.info(reason === null ? `${name} is active again.` : `${name} is on standby: ${reason}`, {
        event: reason === null ? 'active' : 'standby',
        worker: name,
      });
    },
  });
  return {
    refused: refusals.write,
    connectionError: connectionErrors.write,
    finish() {
      isFinished = true;
    },
    close() {
      refusals.close();
      connectionErrors.close();
      joinNotice.close();
    },
  };
}
