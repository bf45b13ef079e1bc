import { CODECS } from '../codec/registry.ts';
import { FACTORS } from '../codec/factors.ts';
import type { Job } from '../model/job.ts';
import { errorMessage } from '../util/error-message.ts';
import { closeReason, CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import { PROTOCOL_VERSION, type FromWorker, type Task, type Welcome } from '../protocol/messages.ts';
import { frameFromWorker } from '../protocol/frame.ts';
import { verifyChecksum, withChecksums } from '../protocol/checksum.ts';
import type { Connection, ConnectionEvents } from '../protocol/transport.ts';
import type { WorkerOptions } from './options.ts';
import { LoadedJob } from './loaded-job.ts';
import {
  advance,
  initialSession,
  type ReceivedShard,
  type ReceivedVector,
  type PrefetchedSamples,
  type SessionEffect,
  type SessionEnd,
  type SessionEvent,
} from './session.ts';
import {
  COMPUTE_LIMIT_MS,
  LOAD_LIMIT_MS,
  StuckCodeError,
  trustedCode,
  withinLimit,
} from './custom-code-access.ts';
import type { CachedComputer, GradientComputerCache } from './gradient-computer-cache.ts';
import type { ReceivedSamples, SampleStores } from './sample-store.ts';
import { watchLiveness } from './liveness.ts';

/** Time after which samples that arrived are stored: a tab may be closed at any moment. */
const FLUSH_MS = 2_000;
/** Maximum length of the reason in a `failed` message. */
const MAX_REASON_LENGTH = 2_000;

/** Reason for the person. WebAssembly names no cause when its memory, at most 4 GB, does not hold a shard. */
function failureReason(error: unknown, samples: number): string {
  const message = errorMessage(error);
  if (!message.startsWith('memory access out of bounds')) return message;
  return `Samples at once: ${samples}, which need more memory than WebAssembly has (${message}). Set a smaller --batch-size or smaller samples for the run, or use native TensorFlow or a GPU.`;
}

const SESSION_LEFT: SessionEnd = { outcome: 'left', reason: 'asked to leave' };

export interface SessionResult {
  readonly end: SessionEnd;
  /** Whether the connection has worked in both directions: the next pause is then short again. */
  readonly isAnswerAccepted: boolean;
}

/**
 * Runs one connection from opening to end and performs the effects of the session. Never rejects.
 * @param instance id of this worker on all its connections
 */
export function runSession(
  options: WorkerOptions,
  computers: GradientComputerCache,
  samples: SampleStores | null,
  instance: string,
): Promise<SessionResult> {
  const { engine, clock, report, signal, abandonsEngine = false } = options;
  const { customCode = trustedCode([], options.url) } = options;
  return new Promise((resolve) => {
    let state = initialSession;
    let loaded: LoadedJob | null = null;
    let computing: Promise<void> = Promise.resolve();
    let abandoned = false;
    let hasCustomCode = false;
    /** Why the engine does not answer any more; null if it does. */
    let stuck: SessionEnd | null = null;

    const send = (message: FromWorker, payload?: Uint8Array): void =>
      connection.send(frameFromWorker(message, payload));

    const dispatch = (event: SessionEvent): void => {
      const [next, effects] = advance(state, event);
      const arrived = next.partial === state.partial ? null : next.partial;
      state = next;
      effects.forEach(perform);
      // An update that waits would change the weights that the bucket is added to.
      if (arrived !== null && state.nextVectors.length === 0) receive(arrived);
    };

    const perform = (effect: SessionEffect): void => {
      switch (effect.type) {
        case 'send': {
          send(effect.message, effect.payload);
          return;
        }
        case 'report': {
          if (effect.standby === undefined || report.standby === undefined) report.note(effect.line);
          else report.standby(effect.standby);
          return;
        }
        case 'close': {
          connection.close(effect.code, closeReason(effect.reason));
          return;
        }
        case 'load':
          if (effect.welcome.job.microShard !== undefined) {
            connection = withChecksums(connection);
            hasChecksums = true;
          }
          computing = load(effect.welcome, effect.payload);
          return;
        case 'setWeights': {
          setWeights(effect.vector);
          return;
        }
        case 'keep': {
          keep(effect.task, effect.samples);
          return;
        }
        case 'prepare': {
          prepare(effect.samples);
          return;
        }
        case 'compute':
          // The weights before it may have been rejected, which ends the session.
          if (state.phase !== 'ended') computing = compute(effect.shard);
          return;
        case 'end': {
          finish(effect.end);
          return;
        }
      }
    };

    const finish = (end: SessionEnd): void => {
      stopWatching();
      cancelFlush?.();
      flush();
      signal.removeEventListener('abort', leave);
      connection.close(CloseCode.normal, 'done');
      const done = (): void => {
        signal.removeEventListener('abort', abandon);
        const left = end.outcome === 'lost' && signal.aborted;
        resolve({ end: left ? SESSION_LEFT : (stuck ?? end), isAnswerAccepted: state.isAnswerAccepted });
      };
      const abandon = (): void => {
        abandoned = true;
        done();
      };
      // The next session must not start while the engine computes a shard of this one.
      void computing.then(done);
      if (!abandonsEngine) return;
      if (end.outcome !== 'lost' || signal.aborted) abandon();
      else signal.addEventListener('abort', abandon);
    };

    const leave = (): void => dispatch({ type: 'leave' });

    /** Closes the connection with the reason, because this worker cannot take part in the job. */
    const giveUp = (error: unknown): void => {
      const code = error instanceof ProtocolError ? error.code : CloseCode.cannotCompute;
      const reason = errorMessage(error);
      // Also if the connection has been lost meanwhile: the next one would find the engine stuck.
      if (error instanceof StuckCodeError) stuck = { outcome: 'refused', reason, code };
      connection.close(code, closeReason(reason));
      dispatch({ type: 'closed', code, reason });
    };

    const load = async (welcome: Welcome, payload: Uint8Array): Promise<void> => {
      try {
        const { computer, fingerprint } = await loadJob(welcome.job, payload);
        const store = (await samples?.open(welcome.job)) ?? null;
        loaded = new LoadedJob(computer, welcome, connection, store);
        if (state.phase === 'ended') return;
        report.joined(welcome, options.url);
        const keeps = store === null ? {} : { keeps: { room: store.room, bitmaps: store.bitmaps } };
        dispatch({ type: 'loaded', fingerprint, ...keeps });
      } catch (error) {
        giveUp(error);
      }
    };

    const loadJob = async (job: Job, payload: Uint8Array): Promise<CachedComputer> => {
      if (job.customCode === undefined) return computers.load(job);
      const module = await customCode.open(job.customCode, payload);
      if (customCode.isPassedOn === true) return computers.load(job, module);
      hasCustomCode = true;
      return withinLimit(clock, computers.load(job, module), LOAD_LIMIT_MS, 'was not loaded');
    };

    const setWeights = (vector: ReceivedVector): void => {
      try {
        loaded?.setWeights(vector);
      } catch (error) {
        giveUp(error);
      }
    };

    const receive = (vector: ReceivedVector): void => {
      try {
        loaded?.receive(vector);
      } catch (error) {
        giveUp(error);
      }
    };

    /** Cancels the next time that kept samples are stored; null if none is due. */
    let cancelFlush: (() => void) | null = null;
    const flush = (): void => {
      cancelFlush = null;
      samples?.flush();
    };
    const keep = (task: Task, received: ReceivedSamples): void => {
      try {
        loaded?.keep(task, received);
        cancelFlush ??= clock.after(FLUSH_MS, flush);
      } catch (error) {
        giveUp(error);
      }
    };

    const prepare = (prefetched: PrefetchedSamples): void => {
      try {
        loaded?.prepare(prefetched);
      } catch (error) {
        if (error instanceof ProtocolError) {
          giveUp(error);
          return;
        }
        report.note(`Could not prepare samples: ${errorMessage(error)}`);
      }
    };

    const compute = async (shard: ReceivedShard): Promise<void> => {
      if (loaded === null) return;
      const { task, step, shard: id, samples: count } = shard.message;
      try {
        const startedAt = clock.now();
        const answering = loaded.answer(shard, () => clock.now() - startedAt);
        const answer = await (hasCustomCode
          ? withinLimit(clock, answering, COMPUTE_LIMIT_MS, 'did not compute a shard')
          : answering);
        if (state.phase !== 'ended') {
          connection.send(answer);
          report.computed(task, step, count, clock.now() - startedAt);
        }
      } catch (error) {
        if (error instanceof ProtocolError || error instanceof StuckCodeError) {
          giveUp(error);
          return;
        }
        const reason = failureReason(error, count);
        if (state.phase !== 'ended')
          send({ type: 'failed', step, shard: id, reason: reason.slice(0, MAX_REASON_LENGTH) });
        if (!abandoned) report.note(`Could not compute a shard: ${reason}`);
      }
      dispatch({ type: 'computed' });
    };

    /** Number of times that the coordinator was heard. */
    let eventCount = 0;
    let hasChecksums = false;
    const onFrame = (bytes: Uint8Array): void => {
      try {
        dispatch({ type: 'frame', bytes: hasChecksums ? verifyChecksum(bytes) : bytes });
      } catch (error) {
        giveUp(error);
      }
    };

    const events: ConnectionEvents = {
      onOpen: () => {
        eventCount++;
        send({
          type: 'hello',
          protocol: PROTOCOL_VERSION,
          name: options.name.slice(0, 100),
          ...(options.token === undefined ? {} : { token: options.token }),
          engine: { ...engine.info, device: engine.info.device.slice(0, 200) },
          codecs: [...CODECS.map(({ name }) => name), FACTORS],
          prefetch: true,
          standby: true,
          switchCodecs: true,
          instance,
          ...(customCode.trusts.length === 0 ? {} : { trusts: [...customCode.trusts] }),
        });
      },
      onFrame: (bytes) => {
        eventCount++;
        onFrame(bytes);
      },
      onClose: (code, reason) => dispatch({ type: 'closed', code, reason }),
    };
    let connection: Connection;
    try {
      connection = options.connect(options.url, events, options.fingerprint);
    } catch (error) {
      resolve({ end: { outcome: 'refused', reason: errorMessage(error) }, isAnswerAccepted: false });
      return;
    }

    const onSilent = (): void => {
      connection.terminate();
      dispatch({ type: 'closed', code: CloseCode.timeout, reason: 'the coordinator has gone silent' });
    };
    const stopWatching = watchLiveness(clock, () => eventCount, onSilent);

    signal.addEventListener('abort', leave);
    if (signal.aborted) leave();
  });
}
