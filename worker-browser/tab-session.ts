import { CloseCode } from '../shared/protocol/close-codes.ts';
import type { Clock } from '../shared/util/clock.ts';
import type { Engine } from '../shared/engine/engine.ts';
import { errorMessage } from '../shared/util/error-message.ts';
import type { Connect } from '../shared/protocol/transport.ts';
import { RefusedError, runWorker } from '../shared/worker/connection-loop.ts';
import type { WorkerOptions, WorkerReport } from '../shared/worker/options.ts';
import type { OpenedEngine, TabEngines } from './engine/tab-engines.ts';
import { announceLoading, throttledEngine, watchedEngine } from './engine-wrappers.ts';
import type { FromPage, FromTab } from './tab-messages.ts';

export interface TabSessionOptions {
  readonly engines: Pick<TabEngines, 'openFirst' | 'findFaster' | 'reopen' | 'describe'>;
  /** Wraps each engine that computes shards, so that the tab can follow its weights. */
  readonly wrapEngine: (engine: Engine) => Engine;
  /** Called after each shard that the tab has computed. */
  readonly onComputed: () => void;
  /** Share of the time that the tab may compute, above 0 to 1. */
  readonly share: () => number;
  readonly connect: Connect;
  readonly sampleStore: NonNullable<WorkerOptions['sampleStore']>;
  /** Custom code of the jobs of a coordinator. */
  readonly customCode: (url: string) => NonNullable<WorkerOptions['customCode']>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onRetryNow: NonNullable<WorkerOptions['onRetryNow']>;
  readonly post: (message: FromTab) => void;
}

type Join = Extract<FromPage, { type: 'join' }>;

/** A tab that loses more engines than this stops, or it would reopen them for ever. */
const MAX_ENGINE_LOSSES = 5;

/** Time that the end of a session waits for what the engine computes: custom code may never end. */
const END_LIMIT_MS = 10_000;

/** A tab's part in a run: joins, leaves, and changes engines in between. */
export function createTabSession(options: TabSessionOptions): { join(message: Join): void; pause(): void } {
  const { engines, clock, post } = options;
  /** Aborted when the person pauses; null while the tab takes no part. */
  let participation: AbortController | null = null;
  /** Ends the current session: on a pause, and when the next session has another engine. */
  let session = new AbortController();
  let losses = 0;
  let hasTriedOthers = false;
  /** Whether the run is exact: it takes no worker whose engine computes other bits. */
  let isExact = false;
  /** Opened when the tab next joins, if it is null. */
  let current: Promise<OpenedEngine> | null = null;
  let openNext = (): Promise<OpenedEngine> => engines.openFirst();
  const afterSession: (() => void)[] = [];

  /** Makes an engine the current one, reports it, and replaces it should it be lost. */
  function setEngine(opening: Promise<OpenedEngine>): Promise<OpenedEngine> {
    current = opening;
    opening.then(
      (opened) => {
        const { engine, why } = opened;
        post({ type: 'engine', info: engine.info, why });
        void opened.lost.then((reason) => {
          // An engine that was replaced before needs no replacement.
          if (current === opening) replaceLost(opened, reason);
          else opened.close();
        });
      },
      () => undefined, // The session that waits for it reports the error.
    );
    return opening;
  }

  function switchEngine(opening: Promise<OpenedEngine>): void {
    void setEngine(opening);
    session.abort();
  }

  function replaceLost(opened: OpenedEngine, reason: string): void {
    opened.close();
    const note = (consequence: string): void =>
      post({ type: 'note', line: `The engine was lost (${reason}). ${consequence}` });
    if (++losses > MAX_ENGINE_LOSSES) {
      note('No other one is opened after so many losses.');
      switchEngine(
        Promise.reject(
          new Error(
            'The browser has taken the GPU or memory away from this tab too often. Close other programs that need it, then try again.',
          ),
        ),
      );
      return;
    }
    note('Another one is being opened.');
    switchEngine(engines.reopen(opened.backend));
  }

  /** Ends an engine whose code does not end. Another one is opened when the tab joins again. */
  function endStuck(opening: Promise<OpenedEngine>, opened: OpenedEngine): void {
    opened.close();
    if (current !== opening) return;
    current = null;
    openNext = () => engines.reopen(opened.backend);
    post({ type: 'note', line: 'The engine did not stop computing, so it was ended.' });
  }

  /** Benchmarks other engines and switches to a faster one. Runs after the first shard, to let the tab contribute soon. */
  async function tryOthers(opening: Promise<OpenedEngine>, paused: AbortSignal): Promise<void> {
    if (hasTriedOthers) return;
    hasTriedOthers = true;
    const present = await opening;
    const faster = await engines.findFaster(present.backend, paused);
    if (current !== opening || paused.aborted) faster?.close();
    else if (faster === null) {
      post({ type: 'engine', info: present.engine.info, why: engines.describe() });
    } else {
      switchEngine(Promise.resolve(faster));
      // The session that ends may still compute with it.
      afterSession.push(() => present.close());
    }
    // A paused tab leaves the machine idle, so the remaining engines are tried when it joins again.
    if (paused.aborted) hasTriedOthers = false;
  }

  const reportFor = (opening: Promise<OpenedEngine>, paused: AbortSignal): WorkerReport => ({
    joined({ workerId, job }) {
      isExact = job.microShard !== undefined;
      post({ type: 'joined', workerId });
    },
    standby: (standby) => post({ type: 'standby', ...standby }),
    computed() {
      options.onComputed();
      if (!isExact) void tryOthers(opening, paused);
    },
    waiting: (_line, { reason, code, waitMs }) =>
      post({ type: 'waiting', reason, waitMs, isFull: code === CloseCode.noFreeSlot }),
    note: (line) => post({ type: 'note', line }),
  });

  /** Takes part in the run until it is over or the person pauses. Never rejects. */
  async function participate(join: Join, paused: AbortSignal): Promise<FromTab> {
    for (;;) {
      session = new AbortController();
      const ended = session.signal;
      try {
        const reason = await runSession(join, paused, ended);
        if (!ended.aborted) return { type: 'finished', reason };
      } catch (error) {
        // The last request to a lost engine fails before its loss is reported here.
        await new Promise<void>((resolve) => void clock.after(0, resolve));
        if (!ended.aborted) return failureMessage(error);
      }
      afterSession.splice(0).forEach((close) => close());
      if (paused.aborted) return { type: 'paused' };
    }
  }

  /** @param ended aborted together with `paused`, and when the engine changes */
  async function runSession(
    { url, name, token }: Join,
    paused: AbortSignal,
    ended: AbortSignal,
  ): Promise<string> {
    const opening = current ?? setEngine(openNext());
    // A pause does not wait for the engine, which stays for the next session.
    const stopped = new Promise<null>((resolve) => ended.addEventListener('abort', () => resolve(null)));
    const opened = await Promise.race([opening, stopped]);
    if (opened === null) return '';
    const { engine, isBusy } = watchedEngine(options.wrapEngine(opened.engine));
    let cancelEnd = (): void => undefined;
    const limitEnd = (): void => {
      cancelEnd = clock.after(END_LIMIT_MS, () => endStuck(opening, opened));
    };
    ended.addEventListener('abort', limitEnd);
    const running = runWorker({
      url,
      name,
      clock,
      sampleStore: options.sampleStore,
      customCode: options.customCode(url),
      random: options.random,
      onRetryNow: options.onRetryNow,
      signal: ended,
      ...(token === undefined ? {} : { token }),
      engine: announceLoading(throttledEngine(engine, options.share, clock, ended), () =>
        post({ type: 'building' }),
      ),
      connect(to, events) {
        post({ type: 'connecting' });
        return options.connect(to, events);
      },
      report: reportFor(opening, paused),
    });
    return running.finally(() => {
      ended.removeEventListener('abort', limitEnd);
      cancelEnd();
      if (isBusy()) endStuck(opening, opened);
    });
  }

  let pendingJoin: Join | null = null;

  function join(message: Join): void {
    if (participation !== null) {
      // The tab is still leaving; the last request counts.
      pendingJoin = message;
      return;
    }
    const controller = new AbortController();
    participation = controller;
    void participate(message, controller.signal).then((end) => {
      participation = null;
      const next = pendingJoin;
      pendingJoin = null;
      if (next !== null && controller.signal.aborted) join(next);
      else post(end);
    });
  }

  return {
    join,
    pause() {
      pendingJoin = null;
      participation?.abort();
      session.abort();
    },
  };
}

function failureMessage(error: unknown): FromTab {
  if (error instanceof RefusedError) return { type: 'refused', reason: error.reason, code: error.code };
  return { type: 'failed', reason: errorMessage(error) };
}
