import { layoutOf, type Layout } from '../model/layout.ts';
import { CloseCode, FATAL_CLOSE_CODES, ProtocolError } from '../protocol/close-codes.ts';
import {
  PROTOCOL_VERSION,
  type FromCoordinator,
  type FromWorker,
  type PrefetchMessage,
  type ShardMessage,
  type Step,
  type Task,
  type UpdateMessage,
  type WeightsMessage,
  type Welcome,
} from '../protocol/messages.ts';
import { parseFromCoordinator } from '../protocol/frame.ts';
import type { ReceivedSamples } from './sample-store.ts';

const BYTES_PER_WEIGHT = 4;

/**
 * State of a worker during one connection. Immutable: advance() maps a state and an event to a new state and effects.
 */
export interface SessionState {
  /** `greeting` until the welcome, `loading` until the model is built, then `working`. */
  readonly phase: 'greeting' | 'loading' | 'working' | 'ended';
  /** Values of the flat vector; 0 until the welcome. */
  readonly vectorLength: number;
  /** Step of the weights in the engine. */
  readonly weightsStep: Step | null;
  /** Vectors received while the engine was busy: the newest weights, and the updates to them in order. */
  readonly nextVectors: readonly ReceivedVector[];
  /** Weights or an update with missing buckets. */
  readonly partial: ReceivedVector | null;
  readonly shards: readonly ReceivedShard[];
  /** Samples received before their shard. */
  readonly prefetched: PrefetchedSamples | null;
  readonly busy: boolean;
  readonly hasAnswered: boolean;
  /** Whether the coordinator assigned a shard after an answer: only then are answers known to arrive undamaged. */
  readonly isAnswerAccepted: boolean;
}

/** Buckets of the weights of a step, or of the update to them, back to front. */
export interface ReceivedVector {
  readonly kind: 'weights' | 'update';
  readonly step: Step;
  readonly buckets: readonly VectorBucket[];
}

/** A received bucket. It ends where the bucket before it begins; the first bucket ends at the vector's end. */
interface VectorBucket {
  readonly offset: number;
  readonly payload: Uint8Array;
  /** Codec, if it differs from the welcome's. */
  readonly encoding: string | undefined;
}

export interface ReceivedShard {
  readonly message: ShardMessage;
  /** Samples of the shard's own message, or of the prefetch before it. */
  readonly samples: ReceivedSamples;
}

export interface PrefetchedSamples extends ReceivedSamples {
  readonly message: PrefetchMessage;
}

export type SessionEvent =
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  /** The model is built. The fingerprint is null unless the run is exact. */
  | {
      readonly type: 'loaded';
      readonly fingerprint: string | null;
      /** Samples that this worker keeps. @default none */
      readonly keeps?: { readonly room: number; readonly bitmaps: Uint8Array };
    }
  | { readonly type: 'computed' }
  | { readonly type: 'leave' }
  | { readonly type: 'closed'; readonly code: number; readonly reason: string };

/** Reason for the end of a session. After `lost`, the worker reconnects. */
export interface SessionEnd {
  readonly outcome: 'finished' | 'refused' | 'lost' | 'left';
  readonly reason: string;
  /** Close code, if the connection was closed. */
  readonly code?: number;
}

export type SessionEffect =
  | { readonly type: 'send'; readonly message: FromWorker; readonly payload?: Uint8Array }
  /** @param payload the job's custom code, if this worker trusts it */
  | { readonly type: 'load'; readonly welcome: Welcome; readonly payload: Uint8Array }
  | { readonly type: 'setWeights'; readonly vector: ReceivedVector }
  /** Samples have arrived, which may be kept for later steps. */
  | { readonly type: 'keep'; readonly task: Task; readonly samples: ReceivedSamples }
  /** The engine is idle and may prepare these samples. */
  | { readonly type: 'prepare'; readonly samples: PrefetchedSamples }
  | { readonly type: 'compute'; readonly shard: ReceivedShard }
  | { readonly type: 'report'; readonly line: string; readonly standby?: Standby }
  | { readonly type: 'close'; readonly code: number; readonly reason: string }
  | { readonly type: 'end'; readonly end: SessionEnd };

/** Whether the coordinator has put this worker on standby, and why. */
export interface Standby {
  readonly onStandby: boolean;
  /** A sentence. */
  readonly reason: string;
}

export type Transition = readonly [SessionState, readonly SessionEffect[]];

export const initialSession: SessionState = {
  phase: 'greeting',
  vectorLength: 0,
  weightsStep: null,
  nextVectors: [],
  partial: null,
  shards: [],
  prefetched: null,
  busy: false,
  hasAnswered: false,
  isAnswerAccepted: false,
};

/** Processes one event. Never throws. */
export function advance(state: SessionState, event: SessionEvent): Transition {
  if (state.phase === 'ended') return [state, []];
  switch (event.type) {
    case 'frame':
      return onFrame(state, event.bytes);
    case 'loaded':
      return [{ ...state, phase: 'working' }, [sendReady(event)]];
    case 'computed':
      return startNext({ ...state, busy: false, hasAnswered: true });
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

function sendReady({ fingerprint, keeps }: Extract<SessionEvent, { type: 'loaded' }>): SessionEffect {
  const message = { type: 'ready', ...(fingerprint === null ? {} : { fingerprint }) } as const;
  return keeps === undefined
    ? { type: 'send', message }
    : { type: 'send', message: { ...message, keeps: keeps.room }, payload: keeps.bitmaps };
}

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
    case 'details':
      throw unexpected(`A message of type ${message.type} is for observers, not for workers.`);
    case 'ping':
      return [state, [{ type: 'send', message: { type: 'pong', id: message.id } }]];
    case 'finished':
      return endSession(state, { outcome: 'finished', reason: message.reason });
    case 'rejected':
      return [state, [{ type: 'report', line: `The coordinator rejected an answer: ${message.reason}` }]];
    case 'standby': {
      const standby = { onStandby: message.standby, reason: message.reason };
      const line = `${message.standby ? 'Standby' : 'Active again'}: ${message.reason}`;
      return [state, [{ type: 'report', line, standby }]];
    }
    case 'welcome': {
      if (state.phase !== 'greeting') throw unexpected('A second welcome was received.');
      if (message.protocol !== PROTOCOL_VERSION) {
        throw new ProtocolError(CloseCode.unsupported, `This worker speaks protocol ${PROTOCOL_VERSION}.`);
      }
      const layout = layoutOf(message.job.layout);
      checkBucketOffsets(message.bucketOffsets, layout);
      const next: SessionState = { ...state, phase: 'loading', vectorLength: layout.length };
      return [next, [{ type: 'load', welcome: message, payload }]];
    }
    case 'weights':
    case 'update':
      if (state.phase !== 'working')
        throw unexpected(`A message of type ${message.type} was received before this worker was ready.`);
      return onBucket(state, message, payload);
    case 'shard': {
      if (state.phase !== 'working') throw unexpected('A shard was received before this worker was ready.');
      const isWhole = payload.length > 0;
      const samples = isWhole ? { message, payload } : findPrefetched(state, message);
      const [next, effects] = startNext({
        ...state,
        isAnswerAccepted: state.hasAnswered,
        shards: [...state.shards, { message, samples }],
      });
      return [next, [...(isWhole ? keep(message.task, samples) : []), ...effects]];
    }
    case 'prefetch': {
      if (state.phase !== 'working') throw unexpected('Samples were received before this worker was ready.');
      const prefetched = { message, payload };
      const prepare: SessionEffect[] = state.busy ? [] : [{ type: 'prepare', samples: prefetched }];
      return [{ ...state, prefetched }, [...keep('train', prefetched), ...prepare]];
    }
  }
}

const keep = (task: Task, samples: ReceivedSamples): SessionEffect[] =>
  samples.message.kept === undefined ? [] : [{ type: 'keep', task, samples }];

function onBucket(
  state: SessionState,
  message: WeightsMessage | UpdateMessage,
  payload: Uint8Array,
): Transition {
  const newest = state.nextVectors.at(-1)?.step ?? state.weightsStep;
  if (message.type === 'update' && (newest === null || message.step !== newest + 1)) {
    throw malformed(
      `An update to step ${message.step} does not follow the weights of step ${newest ?? 'none'}.`,
    );
  }
  const vector = receiveBucket(state.partial, message, payload, state.vectorLength);
  if (!isComplete(vector)) return [{ ...state, partial: vector }, []];
  const nextVectors = vector.kind === 'weights' ? [vector] : [...state.nextVectors, vector];
  return startNext({ ...state, nextVectors, partial: null });
}

/**
 * Adds a bucket to a partial vector.
 * @param partial vector without its bucket with offset 0; null if there is none
 * @param length values of the flat vector
 * @returns the vector, complete once its last bucket has offset 0
 * @throws ProtocolError (malformed, wrongLength) if the bucket does not continue the vector
 */
export function receiveBucket(
  partial: ReceivedVector | null,
  message: WeightsMessage | UpdateMessage,
  payload: Uint8Array,
  length: number,
): ReceivedVector {
  const { type: kind, step, offset } = message;
  const isSame = partial?.kind === kind && partial.step === step;
  const encoding = message.type === 'update' ? message.encoding : undefined;
  let buckets = isSame ? partial.buckets : [];
  if (kind === 'weights') {
    const end = offset + payload.length / BYTES_PER_WEIGHT;
    // A bucket that ends at the vector's end starts a new vector.
    if (end === length) buckets = [];
    const expected = buckets.at(-1)?.offset ?? length;
    if (end !== expected) {
      throw new ProtocolError(
        CloseCode.wrongLength,
        `A bucket of weights from ${offset} to ${end} must end at ${expected}.`,
      );
    }
  }
  const end = buckets.at(-1)?.offset ?? length;
  if (offset >= end) throw malformed(`A bucket begins at ${offset}, but must begin before ${end}.`);
  return { kind, step, buckets: [...buckets, { offset, payload, encoding }] };
}

/** Whether all buckets have arrived. */
export const isComplete = ({ buckets }: ReceivedVector): boolean => buckets.at(-1)?.offset === 0;

/** Checks offsets. The smallest offset above 0 must begin a tensor, because engines compute whole tensors. */
function checkBucketOffsets(bucketOffsets: readonly number[], { slices, length }: Layout): void {
  const from = bucketOffsets[1];
  if (from === undefined) return;
  if (!slices.some(({ offset }) => offset === from)) {
    throw malformed(`The bucket offset ${from} is not the beginning of a tensor.`);
  }
  const beyond = bucketOffsets.find((offset) => offset >= length);
  if (beyond !== undefined)
    throw malformed(`The bucket offset ${beyond} is not below the length of ${length} values.`);
}

/** Prefetched samples for a shard without a payload. */
function findPrefetched({ prefetched }: SessionState, { step, samples }: ShardMessage): ReceivedSamples {
  if (prefetched?.message.step === step && prefetched.message.samples === samples) return prefetched;
  throw malformed('The shard has no samples, and no matching samples were prefetched.');
}

/** If the engine is idle, sets the newest weights and computes the first shard of their step. */
function startNext(state: SessionState): Transition {
  if (state.busy) return [state, []];
  const effects: SessionEffect[] = [];
  let { weightsStep, shards } = state;
  for (const vector of state.nextVectors) {
    effects.push({ type: 'setWeights', vector });
    weightsStep = vector.step;
  }
  if (weightsStep !== null) {
    const current = weightsStep;
    // The samples of shards of older steps have been assigned to other workers.
    shards = shards.filter(({ message }) => message.step >= current);
  }
  const prefetched =
    weightsStep !== null && (state.prefetched?.message.step ?? 0) < weightsStep ? null : state.prefetched;
  const next = shards.find(({ message }) => message.step === weightsStep);
  if (next !== undefined) {
    shards = shards.filter((shard) => shard !== next);
    effects.push({ type: 'compute', shard: next });
  } else if (prefetched !== null && state.nextVectors.length === 0) {
    effects.push({ type: 'prepare', samples: prefetched });
  }
  return [{ ...state, weightsStep, nextVectors: [], shards, prefetched, busy: next !== undefined }, effects];
}

const endSession = (state: SessionState, end: SessionEnd): Transition => [
  { ...state, phase: 'ended', shards: [], nextVectors: [], partial: null, prefetched: null },
  [{ type: 'end', end }],
];

const malformed = (sentence: string): ProtocolError => new ProtocolError(CloseCode.malformed, sentence);
const unexpected = (sentence: string): ProtocolError => new ProtocolError(CloseCode.unexpected, sentence);
