import type { Codec } from '../../shared/codec/codec.ts';
import { decodeFactored, FACTORS, type DenseKernel } from '../../shared/codec/factors.ts';
import { getCodec } from '../../shared/codec/registry.ts';
import type { Scoring } from '../../shared/model/scoring.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type { GradientMessage, ShardResult } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { vectorKernels } from '../optimizer/kernels/vector.ts';
import type { Worker } from '../pool/worker.ts';
import type { AssignedShard } from '../scheduling/partition.ts';

export interface AnswerDecoderOptions {
  /** Values in a gradient. */
  readonly gradientLength: number;
  /** Kernel whose gradient can be sent as factors; null if the model has none. */
  readonly kernel: DenseKernel | null;
  readonly scoring: Pick<Scoring, 'findImpossible'>;
}

export interface DecodedBucket {
  /** View of the payload where the codec allows it, else a buffer of the decoder. */
  readonly values: Float32Array;
  /** Euclidean norm of the values. */
  readonly norm: number;
  /** Name of the bucket's codec. */
  readonly codec: string;
}

/** Codec of a bucket, or FACTORS. */
type BucketCodec = Codec | typeof FACTORS;

/** Decodes and checks answers of workers. All methods throw ProtocolError with the code and sentence for the worker. */
export class AnswerDecoder {
  readonly #options: AnswerDecoderOptions;
  readonly #buffers = new BufferPool();

  constructor(options: AnswerDecoderOptions) {
    this.#options = options;
  }

  /**
   * Decodes a bucket of a shard's gradient.
   * @param end offset of this shard's previous bucket, or the gradient's length
   */
  decodeBucket(
    worker: Worker,
    shard: AssignedShard,
    bucket: GradientMessage,
    payload: Uint8Array,
    end: number,
  ): DecodedBucket {
    const range = bucketRange(worker, bucket, end);
    if (bucket.result !== undefined) this.#checkResult(shard, bucket.result);
    const codec = resolveCodec(worker, bucket);
    const values = this.#decode(payload, codec, shard, range);
    const norm = vectorKernels.finiteNorm(values);
    if (norm === null) {
      throw new ProtocolError(
        CloseCode.notFinite,
        `The gradient of shard ${shard.id} has values that are not finite.`,
      );
    }
    return { values, norm, codec: codec === FACTORS ? FACTORS : codec.name };
  }

  /** Checks the answer to an evaluation shard. */
  checkEvaluation(shard: AssignedShard, result: ShardResult, payload: Uint8Array): void {
    this.#checkResult(shard, result);
    if (payload.length > 0) throw new ProtocolError(CloseCode.wrongLength, 'An evaluation has no payload.');
  }

  #checkResult(shard: AssignedShard, result: ShardResult): void {
    const samples = shard.to - shard.from;
    if (result.samples !== samples) {
      throw new ProtocolError(
        CloseCode.notAssigned,
        `Shard ${shard.id} has ${samples} samples; the answer is for ${result.samples}.`,
      );
    }
    const impossible = this.#options.scoring.findImpossible(result, samples);
    if (impossible !== null) throw new ProtocolError(CloseCode.notFinite, impossible);
  }

  /** Frees the buffers of all decoded values. */
  releaseBuffers(): void {
    this.#buffers.releaseAll();
  }

  #decode(payload: Uint8Array, codec: BucketCodec, shard: AssignedShard, range: Range): Float32Array {
    const { kernel } = this.#options;
    const length = range.to - range.from;
    if (codec === FACTORS) {
      if (kernel === null) {
        throw new ProtocolError(
          CloseCode.unexpected,
          'This model has no kernel whose gradient can be sent as factors.',
        );
      }
      return decodeFactored(payload, kernel, shard.to - shard.from, range, this.#buffers.acquire(length));
    }
    return codec.decode(payload, length, codec.lossy ? this.#buffers.acquire(length) : undefined);
  }
}

/** Free buffers beyond this size, but one, are dropped: those of a thousand workers would stay for a whole run. */
const MAX_FREE_BYTES = 64 << 20;

/** Buffers that a round decodes gradients into and the next round reuses, which saves megabytes of garbage each step. */
export class BufferPool {
  /** Free buffers by length. */
  #free = new Map<number, Float32Array[]>();
  #acquired: Float32Array[] = [];

  /** @returns a vector of this length with arbitrary values; not acquired again before `releaseAll` */
  acquire(length: number): Float32Array {
    const buffer = this.#free.get(length)?.pop() ?? new Float32Array(length);
    this.#acquired.push(buffer);
    return buffer;
  }

  /** Frees all buffers that were acquired since the last call, and drops others. Without any, it changes nothing. */
  releaseAll(): void {
    if (this.#acquired.length === 0) return;
    this.#free = new Map();
    let bytes = 0;
    for (const buffer of this.#acquired) {
      if (bytes > 0 && bytes + buffer.byteLength > MAX_FREE_BYTES) break;
      bytes += buffer.byteLength;
      const sameLength = this.#free.get(buffer.length);
      if (sameLength === undefined) this.#free.set(buffer.length, [buffer]);
      else sameLength.push(buffer);
    }
    this.#acquired = [];
  }
}

/** Range of the flat vector that a bucket covers. @throws ProtocolError (unexpected) */
function bucketRange({ link }: Worker, { shard, offset }: GradientMessage, end: number): Range {
  if (!link.bucketOffsets.includes(offset)) {
    throw new ProtocolError(CloseCode.unexpected, `No bucket of shard ${shard} begins at ${offset}.`);
  }
  if (offset >= end) {
    throw new ProtocolError(
      CloseCode.unexpected,
      `A bucket from ${offset} of shard ${shard} is repeated: all values from ${end} on have arrived.`,
    );
  }
  return { from: offset, to: end };
}

/** @throws ProtocolError (unexpected) if the shard requested another codec */
function resolveCodec({ link, outstanding }: Worker, { shard, encoding }: GradientMessage): BucketCodec {
  const requested = outstanding.encodingOf(shard) ?? undefined;
  if (encoding === requested) {
    if (encoding === undefined) return link.initialCodec;
    return encoding === FACTORS ? FACTORS : getCodec(encoding);
  }
  // Some gradients cannot be sent as factors.
  if (encoding === undefined && requested === FACTORS) return link.initialCodec;
  throw new ProtocolError(
    CloseCode.unexpected,
    encoding === undefined
      ? `The gradient was requested in ${requested ?? ''}.`
      : `No gradient was requested in ${sanitizeForTerminal(encoding)}.`,
  );
}
