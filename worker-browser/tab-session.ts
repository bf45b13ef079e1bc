import { type Clock, pause, type AbortSignalLike } from '../shared/util/clock.ts';
import type { Engine, GradientComputer } from '../shared/engine/engine.ts';
import { errorMessage } from '../shared/util/error-message.ts';
import type { Connect } from '../shared/protocol/transport.ts';
import { RefusedError, runWorker } from '../shared/worker/connection-loop.ts';
import type { WorkerOptions, WorkerReport } from '../shared/worker/options.ts';
import type { OpenedEngine, TabEngines } from './engine/tab-engines.ts';
import type { FromPage, FromTab } from './tab-messages.ts';

export interface TabSessionOptions {
  readonly engines: Pick<TabEngines, 'openFirst' | 'findFaster' | 'reopen' | 'describe'>;
  /** Puts what the engine is to do beside the shards around it. */
  readonly wrapEngine: (engine: Engine) => Engine;
  /** Hears of each shard that was computed. */
  readonly onComputed: () => void;
  /** Of the time, that the tab may compute: above 0 to 1. */
  readonly share: () => number;
  readonly connect: Connect;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onRetryNow: NonNullable<WorkerOptions['onRetryNow']>;
  readonly post: (message: FromTab) => void;
}

type Join = Extract<FromPage, { type: 'join' }>;

/** An engine that loses its GPU again and again is not opened for ever. */
const MAX_ENGINE_LOSSES = 5;

/** A tab's part in a run: joins and leaves, and changes engines in between. */
export function createTabSession(options: TabSessionOptions): { join(message: Join): void; pause(): void } {
  const { engines, clock, post } = options;
  let leaving: AbortController | null = null;
  /** Ends the session: because the person leaves, or because the next one has another engine. */
  let ending = new AbortController();
  let losses = 0;
  let triedOthers = false;
  /** Opened when the tab first joins. */
  let current: Promise<OpenedEngine> | null = null;
  const afterSession: (() => void)[] = [];

  /** Tells of an engine, and sees to the next should it be lost. */
  function use(opening: Promise<OpenedEngine>): Promise<OpenedEngine> {
    current = opening;
    opening.then(
      (opened) => {
        const { engine, why } = opened;
        post({ type: 'engine', info: engine.info, why });
        void opened.lost.then((reason) => {
          // One that was replaced before has only to be closed.
          if (current === opening) replace(opened, reason);
          else opened.close();
        });
      },
      () => undefined, // Said by whoever joins.
    );
    return opening;
  }

  function change(opening: Promise<OpenedEngine>): void {
    void use(opening);
    ending.abort();
  }

  function replace(opened: OpenedEngine, reason: string): void {
    opened.close();
    const tell = (what: string): void =>
      post({ type: 'note', line: `The engine was lost (${reason}). ${what}` });
    if (++losses > MAX_ENGINE_LOSSES) {
      tell('That was once too often.');
      change(
        Promise.reject(
          new Error(
            'The GPU, or the memory, is taken away from this tab again and again. Close what else needs it, then try again.',
          ),
        ),
      );
      return;
    }
    tell('Another one is being opened.');
    change(engines.reopen(opened.backend));
  }

  /** Once the tab has shown that it works, whatever else could compute is tried beside. */
  async function tryOthers(opening: Promise<OpenedEngine>, signal: AbortSignal): Promise<void> {
    if (triedOthers) return;
    triedOthers = true;
    const present = await opening;
    const better = await engines.findFaster(present.backend, signal);
    if (current !== opening || signal.aborted) better?.close();
    else if (better === null) {
      post({ type: 'engine', info: present.engine.info, why: engines.describe() });
    } else {
      change(Promise.resolve(better));
      // The session ends first; then nobody computes with it any more.
      afterSession.push(() => present.close());
    }
    // Who pauses wants an idle machine; what is still to be tried waits for the next time.
    if (signal.aborted) triedOthers = false;
  }

  const reportFor = (opening: Promise<OpenedEngine>, left: AbortSignal): WorkerReport => ({
    joined: ({ workerId }) => post({ type: 'joined', workerId }),
    standby: (standby) => post({ type: 'standby', ...standby }),
    computed() {
      options.onComputed();
      void tryOthers(opening, left);
    },
    waiting: (_line, { reason, waitMs }) => post({ type: 'waiting', reason, waitMs }),
    note: (line) => post({ type: 'note', line }),
  });

  /** Takes part in the run until it is over or the person pauses. Never rejects. */
  async function work(join: Join, left: AbortSignal): Promise<FromTab> {
    for (;;) {
      ending = new AbortController();
      const ended = ending.signal;
      try {
        const reason = await session(join, left, ended);
        if (!ended.aborted) return { type: 'finished', reason };
      } catch (error) {
        // What a lost engine was asked last fails before its loss is known here.
        await new Promise<void>((resolve) => void clock.after(0, resolve));
        if (!ended.aborted) return failureMessage(error);
      }
      afterSession.splice(0).forEach((close) => close());
      if (left.aborted) return { type: 'paused' };
    }
  }

  /** @param left aborted when the person leaves; `ended` then too, and when the engine changes */
  async function session({ url, name, token }: Join, left: AbortSignal, ended: AbortSignal): Promise<string> {
    const opening = current ?? use(engines.openFirst());
    // Who leaves does not wait for it; it is there for the next time.
    const stopped = new Promise<null>((resolve) => ended.addEventListener('abort', () => resolve(null)));
    const opened = await Promise.race([opening, stopped]);
    if (opened === null) return '';
    return runWorker({
      url,
      name,
      clock,
      random: options.random,
      onRetryNow: options.onRetryNow,
      signal: ended,
      ...(token === undefined ? {} : { token }),
      engine: announceLoading(
        throttledEngine(options.wrapEngine(opened.engine), options.share, clock, ended),
        post,
      ),
      connect(to, events) {
        post({ type: 'connecting' });
        return options.connect(to, events);
      },
      report: reportFor(opening, left),
    });
  }

  let next: Join | null = null;

  function join(message: Join): void {
    if (leaving !== null) {
      // On its way out: what was asked last is what counts.
      next = message;
      return;
    }
    const controller = new AbortController();
    leaving = controller;
    void work(message, controller.signal).then((end) => {
      leaving = null;
      const again = next;
      next = null;
      if (again !== null && controller.signal.aborted) join(again);
      else post(end);
    });
  }

  return {
    join,
    pause() {
      next = null;
      leaving?.abort();
      ending.abort();
    },
  };
}

function failureMessage(error: unknown): FromTab {
  if (error instanceof RefusedError) return { type: 'refused', reason: error.reason, code: error.code };
  return { type: 'failed', reason: errorMessage(error) };
}

/** Says when the model is being built, which takes a while on a slow device. */
function announceLoading(engine: Engine, post: (message: FromTab) => void): Engine {
  return {
    info: engine.info,
    load(job) {
      post({ type: 'building' });
      return engine.load(job);
    },
  };
}

/**
 * An engine that computes only a part of the time: after a shard it idles before it answers, so that the coordinator
 * sees a worker that is so much slower.
 * @param share of the time that it may compute, above 0 to 1; asked before each pause
 * @param signal ends a pause at once
 */
export function throttledEngine(
  engine: Engine,
  share: () => number,
  clock: Clock,
  signal: AbortSignalLike,
): Engine {
  return {
    info: engine.info,
    load: async (job) => throttledGradientComputer(await engine.load(job), share, clock, signal),
  };
}

function throttledGradientComputer(
  trainer: GradientComputer,
  share: () => number,
  clock: Clock,
  signal: AbortSignalLike,
): GradientComputer {
  /** Computed since the last pause. */
  let busyMs = 0;
  const timed = async <T>(compute: () => T | Promise<T>): Promise<T> => {
    const startedMs = clock.now();
    try {
      return await compute();
    } finally {
      busyMs += clock.now() - startedMs;
    }
  };
  const rest = async <T>(result: T): Promise<T> => {
    const idleMs = idleTimeFor(busyMs, share());
    busyMs = 0;
    if (idleMs > 0) await pause(clock, idleMs, signal);
    return result;
  };
  return {
    setWeights: (weights, from) => trainer.setWeights(weights, from),
    gradient: async (...shard) => rest(await timed(() => trainer.gradient(...shard))),
    prepare(step, shard) {
      const startedMs = clock.now();
      trainer.prepare(step, shard);
      busyMs += clock.now() - startedMs;
    },
    evaluate: async (shard) => rest(await timed(() => trainer.evaluate(shard))),
    predict: (images, samples) => trainer.predict(images, samples),
    dispose: () => trainer.dispose(),
  };
}

/** How long to idle after computing so long, in milliseconds. */
export const idleTimeFor = (busyMs: number, share: number): number => busyMs * (1 / share - 1);
