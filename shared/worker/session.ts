import { layoutOf } from '../model/layout.ts';
import { CloseCode, FATAL_CLOSE_CODES, ProtocolError } from '../protocol/close-codes.ts';
import {
  PROTOCOL_VERSION,
  type FromCoordinator,
  type FromWorker,
  type ShardMessage,
  type Step,
  type Welcome,
} from '../protocol/messages.ts';
import { parseFromCoordinator } from '../protocol/parse.ts';
import {
  noPartialWeights,
  receiveWeightsBucket,
  receiveUpdate,
  receiveWeights,
  type PartialWeights,
  type ReceivedUpdate,
  type ReceivedWeights,
} from './received-weights.ts';

/**
 * What a worker knows during one connection. Pure: events go in, a new state and effects come out. The worker holds
 * one set of weights and the shards that it was given, nothing else.
 */
export interface SessionState {
  readonly phase: 'greeting' | 'loading' | 'working' | 'ended';
  readonly welcome: Welcome | null;
  /** The step of the weights that the engine holds. */
  readonly weightsStep: Step | null;
  /** What came while the engine was busy: the newest weights, and the updates to them in order. */
  readonly nextWeights: readonly (ReceivedWeights | ReceivedUpdate)[];
  /** What came of weights or an update whose beginning is still to come. */
  readonly partial: PartialWeights;
  readonly shards: readonly ReceivedShard[];
  /** Samples that came before the shard that will name them. */
  readonly prefetched: PrefetchedSamples | null;
  readonly busy: boolean;
}

export interface ReceivedShard {
  readonly message: ShardMessage;
  readonly payload: Uint8Array;
}

export interface PrefetchedSamples {
  readonly step: Step;
  readonly samples: number;
  readonly payload: Uint8Array;
}

export type SessionEvent =
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  /** The model is built; with what is to be told of it where bits matter. */
  | { readonly type: 'loaded'; readonly knownAnswer: string | null }
  | { readonly type: 'computed' }
  | { readonly type: 'leave' }
  | { readonly type: 'closed'; readonly code: number; readonly reason: string };

/** Why a session ended, and whether a new connection may help. */
export interface SessionEnd {
  readonly outcome: 'finished' | 'refused' | 'lost' | 'left';
  readonly reason: string;
  /** Code of the close, if that was the end. */
  readonly code?: number;
}

export type SessionEffect =
  | { readonly type: 'send'; readonly message: FromWorker }
  | { readonly type: 'load'; readonly welcome: Welcome }
  | { readonly type: 'setWeights'; readonly weights: ReceivedWeights | ReceivedUpdate }
  /** There is time to get these samples ready. */
  | { readonly type: 'prepare'; readonly samples: PrefetchedSamples }
  | { readonly type: 'compute'; readonly shard: ReceivedShard }
  | { readonly type: 'report'; readonly line: string; readonly standby?: Standby }
  | { readonly type: 'close'; readonly code: number; readonly reason: string }
  | { readonly type: 'end'; readonly end: SessionEnd };

/** What the coordinator says of this worker's part: on standby, the steps do without it for now. */
export interface Standby {
  readonly onStandby: boolean;
  /** A sentence. */
  readonly reason: string;
}

export type Transition = readonly [SessionState, readonly SessionEffect[]];

export const initialSession: SessionState = {
  phase: 'greeting',
  welcome: null,
  weightsStep: null,
  nextWeights: [],
  partial: noPartialWeights,
  shards: [],
  prefetched: null,
  busy: false,
};

/** One event after another; never throws. */
export function advance(state: SessionState, event: SessionEvent): Transition {
  if (state.phase === 'ended') return [state, []];
  switch (event.type) {
    case 'frame':
      return onFrame(state, event.bytes);
    case 'loaded':
      return [{ ...state, phase: 'working' }, [{ type: 'send', message: readyMessage(event.knownAnswer) }]];
    case 'computed':
      return startNext({ ...state, busy: false });
    case 'leave': {
      const [next, effects] = endSession(state, { outcome: 'left', reason: 'asked to leave' });
      return [next, [{ type: 'send', message: { type: 'leaving', reason: 'asked to leave' } }, ...effects]];
    }
    case 'closed':
      return endSession(state, {
        outcome: FATAL_CLOSE_CODES.has(event.code) ? 'refused' : 'lost',
        reason: event.reason === '' ? `connection closed (${event.code})` : event.reason,
        code: event.code,
      });
  }
}

const readyMessage = (knownAnswer: string | null): FromWorker =>
  knownAnswer === null ? { type: 'ready' } : { type: 'ready', knownAnswer };

function onFrame(state: SessionState, bytes: Uint8Array): Transition {
  try {
    const { message, payload } = parseFromCoordinator(bytes);
    return onMessage(state, message, payload);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return [state, [{ type: 'close', code: error.code, reason: error.message }]];
  }
}

function onMessage(state: SessionState, message: FromCoordinator, payload: Uint8Array): Transition {
  switch (message.type) {
    case 'run':
    case 'progress':
    case 'epoch':
      throw unexpected(`A worker was sent ${message.type}, which is for observers.`);
    case 'ping':
      return [state, [{ type: 'send', message: { type: 'pong', id: message.id } }]];
    case 'finished':
      return endSession(state, { outcome: 'finished', reason: message.reason });
    case 'rejected':
      return [state, [{ type: 'report', line: `The coordinator rejected an answer: ${message.reason}` }]];
    case 'reserve': {
      const news = message.waiting ? 'Standby' : 'Active again';
      const standby = { onStandby: message.waiting, reason: message.reason };
      return [state, [{ type: 'report', line: `${news}: ${message.reason}`, standby }]];
    }
    case 'welcome':
      if (state.phase !== 'greeting') throw unexpected('A second welcome.');
      if (message.protocol !== PROTOCOL_VERSION) {
        throw new ProtocolError(CloseCode.unsupported, `This worker speaks protocol ${PROTOCOL_VERSION}.`);
      }
      checkBucketOffsets(message);
      return [{ ...state, phase: 'loading', welcome: message }, [{ type: 'load', welcome: message }]];
    case 'weights':
      if (state.phase !== 'working') throw unexpected('Weights before this worker was ready.');
      return startNext({
        ...state,
        nextWeights: [receiveWeights(state.partial, message, payload, bucketOffsets(state))],
        partial: noPartialWeights,
      });
    case 'weightsTail':
      if (state.phase !== 'working') throw unexpected('Weights before this worker was ready.');
      return [
        {
          ...state,
          partial: receiveWeightsBucket(
            state.partial,
            message,
            payload,
            bucketOffsets(state),
            vectorLength(state),
          ),
        },
        [],
      ];
    case 'update': {
      if (state.phase !== 'working') throw unexpected('An update before this worker was ready.');
      const held = state.nextWeights.at(-1)?.step ?? state.weightsStep;
      const received = receiveUpdate(state.partial, message, payload, held);
      if (received.update === null) return [{ ...state, partial: received.pieces }, []];
      const nextWeights = [...state.nextWeights, received.update];
      return startNext({ ...state, nextWeights, partial: received.pieces });
    }
    case 'shard':
      if (state.phase !== 'working') throw unexpected('A shard before this worker was ready.');
      return startNext({
        ...state,
        shards: [
          ...state.shards,
          { message, payload: payload.length > 0 ? payload : findPrefetched(state, message) },
        ],
      });
    case 'prefetch': {
      if (state.phase !== 'working') throw unexpected('Samples before this worker was ready.');
      const { step, samples } = message;
      const prefetched = { step, samples, payload };
      return [{ ...state, prefetched }, state.busy ? [] : [{ type: 'prepare', samples: prefetched }]];
    }
  }
}

/** Engines take and give whole tensors. */
function checkBucketOffsets({ tailCuts: [from, ...cuts] = [], job }: Welcome): void {
  if (from === undefined) return;
  const { slices, length } = layoutOf(job.layout);
  if (!slices.some(({ offset }) => offset === from)) {
    throw malformed(`Tails from ${from}, where no tensor starts.`);
  }
  const beyond = cuts.find((cut) => cut >= length);
  if (beyond !== undefined) throw malformed(`A tail is cut at ${beyond}, of ${length} values.`);
}

const bucketOffsets = ({ welcome }: SessionState): readonly number[] => welcome?.tailCuts ?? [];
const vectorLength = ({ welcome }: SessionState): number =>
  welcome === null ? 0 : layoutOf(welcome.job.layout).length;

/** The samples of a shard that comes without any. */
function findPrefetched({ prefetched }: SessionState, { step, samples }: ShardMessage): Uint8Array {
  if (prefetched?.step === step && prefetched.samples === samples) return prefetched.payload;
  throw malformed('A shard without samples, and none were sent before.');
}

/** Takes the newest weights and the first shard that they are for, as soon as the engine is free. */
function startNext(state: SessionState): Transition {
  if (state.busy) return [state, []];
  const effects: SessionEffect[] = [];
  let { weightsStep, shards } = state;
  for (const weights of state.nextWeights) {
    effects.push({ type: 'setWeights', weights });
    weightsStep = weights.step;
  }
  if (weightsStep !== null) {
    const held = weightsStep;
    // A shard of an older step was given to somebody else long ago.
    shards = shards.filter(({ message }) => message.step >= held);
  }
  const prefetched =
    weightsStep !== null && (state.prefetched?.step ?? 0) < weightsStep ? null : state.prefetched;
  const next = shards.find(({ message }) => message.step === weightsStep);
  if (next !== undefined) {
    shards = shards.filter((shard) => shard !== next);
    effects.push({ type: 'compute', shard: next });
  } else if (prefetched !== null && state.nextWeights.length === 0) {
    effects.push({ type: 'prepare', samples: prefetched });
  }
  return [{ ...state, weightsStep, nextWeights: [], shards, prefetched, busy: next !== undefined }, effects];
}

const endSession = (state: SessionState, end: SessionEnd): Transition => [
  { ...state, phase: 'ended', shards: [], nextWeights: [], partial: noPartialWeights, prefetched: null },
  [{ type: 'end', end }],
];

const malformed = (sentence: string): ProtocolError => new ProtocolError(CloseCode.malformed, sentence);
const unexpected = (sentence: string): ProtocolError => new ProtocolError(CloseCode.unexpected, sentence);
