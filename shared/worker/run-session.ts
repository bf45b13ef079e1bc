import { CODECS, codecNamed } from '../codec/codec.ts';
import { viewShard, type Shard } from '../data/shard.ts';
import type { Trainer } from '../engine/engine.ts';
import { layoutOf } from '../model/layout.ts';
import { closeReason, CloseCode, ProtocolError } from '../protocol/close-code.ts';
import { openFrame } from '../protocol/frame.ts';
import { PROTOCOL_VERSION, type FromWorker, type Step, type Welcome } from '../protocol/messages.ts';
import { frameFromWorker } from '../protocol/parse.ts';
import type { Connection } from '../transport.ts';
import type { WorkerOptions } from './connection-loop.ts';
import {
  advance,
  initialSession,
  type PendingShard,
  type Prefetched,
  type SessionEffect,
  type SessionEnd,
  type SessionEvent,
} from './session.ts';
import type { TrainerCache } from './trainer-cache.ts';
import { watchForSilence } from './silence.ts';

/** Of what a 'failed' says, in characters; a longer one would be no message. */
const LONGEST_REASON = 2_000;

/** What a worker tells its person. */
export interface WorkerReport {
  joined(welcome: Welcome): void;
  /** After each shard. */
  computed(task: PendingShard['message']['task'], step: Step, samples: number, computeMs: number): void;
  /** Before each pause between two connections. */
  waiting(line: string, wait: { readonly reason: string; readonly waitMs: number }): void;
  note(line: string): void;
}

export interface SessionResult {
  readonly end: SessionEnd;
  readonly welcomed: boolean;
}

/** What a loaded job computes with. */
interface Work {
  readonly trainer: Trainer;
  readonly welcome: Welcome;
  /** Room for one gradient, used again for every shard. */
  readonly gradient: Float32Array;
  /** The frame of the last gradient: connections send without a copy, so it may be written over once it has left. */
  lastFrame: Uint8Array<ArrayBuffer> | null;
  lastView: { readonly payload: Uint8Array; readonly shard: Shard } | null;
}

/** One connection from opening to end: carries out what the pure session asks for. Never rejects. */
export function runSession(options: WorkerOptions, trainers: TrainerCache): Promise<SessionResult> {
  const { engine, clock, report, signal } = options;
  return new Promise((resolve) => {
    let state = initialSession;
    let work: Work | null = null;
    let computing: Promise<void> = Promise.resolve();

    const send = (message: FromWorker): void => connection.send(frameFromWorker(message));

    const dispatch = (event: SessionEvent): void => {
      const [next, effects] = advance(state, event);
      state = next;
      effects.forEach(perform);
    };

    const perform = (effect: SessionEffect): void => {
      switch (effect.type) {
        case 'send': {
          send(effect.message);
          return;
        }
        case 'report': {
          report.note(effect.line);
          return;
        }
        case 'close': {
          connection.close(effect.code, closeReason(effect.reason));
          return;
        }
        case 'load':
          computing = load(effect.welcome);
          return;
        case 'setWeights': {
          setWeights(effect.payload);
          return;
        }
        case 'prepare': {
          prepare(effect.samples);
          return;
        }
        case 'compute':
          // The weights before it may have been none, which ends the session.
          if (state.phase !== 'ended') computing = compute(effect.shard);
          return;
        case 'end': {
          finish(effect.end);
          return;
        }
      }
    };

    const finish = (end: SessionEnd): void => {
      silence.stop();
      signal.removeEventListener('abort', leave);
      connection.close(CloseCode.normal, 'done');
      // The next session must not find the engine busy with this one's shard.
      void computing.then(() => resolve({ end, welcomed: state.welcome !== null }));
    };

    const leave = (): void => dispatch({ type: 'leave' });

    /** An error here says that this worker is of no use for the job; the coordinator hears why. */
    const giveUp = (error: unknown): void => {
      const code = error instanceof ProtocolError ? error.code : CloseCode.cannotCompute;
      connection.close(code, closeReason(sentenceOf(error)));
      dispatch({ type: 'closed', code, reason: sentenceOf(error) });
    };

    const load = async (welcome: Welcome): Promise<void> => {
      try {
        const trainer = await trainers.load(welcome.job);
        work = {
          trainer,
          welcome,
          gradient: trainer.room ?? new Float32Array(layoutOf(welcome.job.layout).length),
          lastFrame: null,
          lastView: null,
        };
        if (state.phase === 'ended') return;
        report.joined(welcome);
        dispatch({ type: 'loaded' });
      } catch (error) {
        giveUp(error);
      }
    };

    const setWeights = (payload: Uint8Array): void => {
      if (work === null) return;
      try {
        work.trainer.setWeights(codecNamed(work.welcome.codec).decode(payload, work.gradient.length));
      } catch (error) {
        giveUp(error);
      }
    };

    const prepare = ({ step, samples, payload }: Prefetched): void => {
      if (work === null) return;
      try {
        work.trainer.prepare(step, viewOf(work, payload, samples));
      } catch (error) {
        report.note(`Could not prepare samples: ${sentenceOf(error)}`);
      }
    };

    const compute = async (shard: PendingShard): Promise<void> => {
      if (work === null) return;
      const { task, step, shard: id, samples } = shard.message;
      try {
        const startedAt = clock.now();
        if (connection.bufferedBytes > 0) work.lastFrame = null;
        const answer = await answerTo(shard, work, () => clock.now() - startedAt);
        if (state.phase !== 'ended') {
          connection.send(answer);
          report.computed(task, step, samples, clock.now() - startedAt);
        }
      } catch (error) {
        const reason = sentenceOf(error).slice(0, LONGEST_REASON);
        if (state.phase !== 'ended') send({ type: 'failed', step, shard: id, reason });
        report.note(`Could not compute a shard: ${sentenceOf(error)}`);
      }
      dispatch({ type: 'computed' });
    };

    const silence = watchForSilence(clock, () => {
      connection.terminate();
      dispatch({ type: 'closed', code: CloseCode.timeout, reason: 'the coordinator has gone silent' });
    });

    const connection: Connection = options.connect(options.url, {
      onOpen: () => {
        silence.heard();
        send({
          type: 'hello',
          protocol: PROTOCOL_VERSION,
          name: options.name.slice(0, 100),
          ...(options.token === undefined ? {} : { token: options.token }),
          engine: { ...engine.info, device: engine.info.device.slice(0, 200) },
          codecs: CODECS.map(({ name }) => name),
          prefetch: true,
        });
      },
      onFrame: (bytes) => {
        silence.heard();
        dispatch({ type: 'frame', bytes });
      },
      onClose: (code, reason) => dispatch({ type: 'closed', code, reason }),
    });
    signal.addEventListener('abort', leave);
    if (signal.aborted) leave();
  });
}

/** The same view for the same payload, by which the trainer knows what it has prepared. */
function viewOf(work: Work, payload: Uint8Array, samples: number): Shard {
  if (work.lastView?.payload !== payload) {
    work.lastView = { payload, shard: viewShard(payload, samples, work.welcome.job.data.sampleShape) };
  }
  return work.lastView.shard;
}

/** Computes a shard; the answer as a frame. */
async function answerTo(shard: PendingShard, work: Work, elapsedMs: () => number): Promise<Uint8Array> {
  const { trainer, welcome, gradient } = work;
  const { task, step, shard: id, samples } = shard.message;
  const data = viewOf(work, shard.payload, samples);
  const sums = { step, shard: id, samples };
  if (task === 'evaluate') {
    const result = await trainer.evaluate(data);
    return frameFromWorker({ type: 'evaluation', ...sums, ...result, computeMs: elapsedMs() });
  }
  const result = await trainer.gradient(step, data, gradient);
  const codec = codecNamed(welcome.codec);
  const message: FromWorker = { type: 'gradient', ...sums, ...result, computeMs: elapsedMs() };
  const frame = openFrame(message, codec.bytes(gradient.length), work.lastFrame);
  codec.encode(gradient, frame.payload);
  work.lastFrame = frame.bytes;
  return frame.bytes;
}

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
