import { getCodec } from '../../shared/codec/codec.ts';
import { decodeFactored, FACTORS, type DenseKernel } from '../../shared/codec/factors.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import type {
  EvaluationAnswer,
  GradientAnswer,
  GradientTail,
  ShardAnswer,
  ShardId,
} from '../../shared/protocol/messages.ts';
import { sanitizeForTerminal } from '../../shared/protocol/readable.ts';
import type { Worker } from '../members/member.ts';
import type { AssignedShard } from './round.ts';
import type { BufferPool } from './rooms.ts';
import type { Range } from '../../shared/range.ts';
import { vectorKernels } from './vector/vector.ts';

/** Of a gradient: a view of the payload where the codec allows it, else in a room. */
export interface DecodedGradient {
  readonly values: Float32Array;
  /** Euclidean. */
  readonly norm: number;
}

/** Of one sample: float32 logits are not farther apart. Sums over a whole run then stay finite, in float64. */
const MAX_SAMPLE_LOSS = 7e38;

/**
 * How an answer's gradient is encoded.
 * @throws ProtocolError (unexpected) if nobody has asked for that
 */
export function resolveCodec(
  { initialCodecs, requestedEncodings }: Pick<Worker, 'initialCodecs' | 'requestedEncodings'>,
  answer: GradientTail | GradientAnswer | EvaluationAnswer,
): string {
  const encoding = answer.type === 'evaluation' ? undefined : answer.encoding;
  const wanted = requestedEncodings.get(answer.shard) ?? undefined;
  if (encoding === wanted) return encoding ?? initialCodecs.codec;
  // Not every gradient can be given as factors.
  if (encoding === undefined && (wanted === FACTORS || answer.type === 'evaluation')) return initialCodecs.codec;
  if (encoding === undefined) {
    throw new ProtocolError(CloseCode.unexpected, `The gradient was asked for in ${wanted ?? ''}.`);
  }
  throw new ProtocolError(CloseCode.unexpected, `No gradient was asked for in ${sanitizeForTerminal(encoding)}.`);
}

/** What has to be known of a part of a gradient whose kernel may come as factors. */
export interface FactorsContext {
  readonly kernel: DenseKernel;
  /** Of the shard. */
  readonly samples: number;
  readonly range: Range;
}

/**
 * Reads the tail of a gradient, believing nothing.
 * @param length values in it
 * @param rooms where it is decoded
 * @throws ProtocolError with the code and sentence that the worker is told
 */
export function decodeBucket(
  { shard }: GradientTail,
  payload: Uint8Array,
  codec: string,
  length: number,
  rooms: BufferPool,
  factored: FactorsContext | null = null,
): DecodedGradient {
  return decodeFinite(shard, payload, codec, length, rooms, factored);
}

/**
 * Reads an answer's gradient, believing nothing.
 * @param length values in the payload, if it has any
 * @param rooms where they are decoded
 * @returns the gradient, empty for an evaluation
 * @throws ProtocolError with the code and sentence that the worker is told
 */
export function decodeAnswer(
  answer: ShardAnswer,
  payload: Uint8Array,
  shard: AssignedShard,
  codec: string,
  length: number,
  rooms: BufferPool,
  factored: FactorsContext | null = null,
): DecodedGradient {
  const samples = shard.to - shard.from;
  if (answer.samples !== samples) {
    throw new ProtocolError(
      CloseCode.notAssigned,
      `Shard ${shard.id} has ${samples} samples; the answer is for ${answer.samples}.`,
    );
  }
  if (!(answer.lossSum >= 0 && answer.lossSum <= samples * MAX_SAMPLE_LOSS)) {
    throw new ProtocolError(CloseCode.notFinite, `A loss of ${answer.lossSum} is not possible.`);
  }
  if (answer.correct > samples) {
    throw new ProtocolError(
      CloseCode.notFinite,
      `${answer.correct} of ${samples} samples cannot be correct.`,
    );
  }
  if (answer.type === 'evaluation') {
    if (payload.length > 0) throw new ProtocolError(CloseCode.wrongLength, 'An evaluation has no payload.');
    return { values: new Float32Array(0), norm: 0 };
  }
  return decodeFinite(shard.id, payload, codec, length, rooms, factored);
}

function decodeFinite(
  shard: ShardId,
  payload: Uint8Array,
  name: string,
  length: number,
  rooms: BufferPool,
  factored: FactorsContext | null,
): DecodedGradient {
  if (name === FACTORS && factored === null) {
    throw new ProtocolError(CloseCode.unexpected, 'This model has no gradient that could come as factors.');
  }
  const decode = (): Float32Array => {
    if (name === FACTORS && factored !== null) {
      const { kernel, samples, range } = factored;
      return decodeFactored(payload, kernel, samples, range, rooms.acquire(length));
    }
    const codec = getCodec(name);
    return codec.decode(payload, length, codec.lossy ? rooms.acquire(length) : undefined);
  };
  const gradient = decode();
  const norm = vectorKernels.finiteNorm(gradient);
  if (norm === null) {
    throw new ProtocolError(
      CloseCode.notFinite,
      `The gradient of shard ${shard} has values that are not finite.`,
    );
  }
  return { values: gradient, norm };
}
