import type { Shard } from '../../shared/data/shard.ts';
import type { ShardResult, GradientComputer } from '../../shared/engine/engine.ts';
import { RESERVED_HEADER_BYTES } from '../../shared/protocol/frame.ts';
import type { PendingCalls } from './pending-calls.ts';
import type { SentShard, ToEngine, JobId } from './messages.ts';
/** libuv's. */
const MAX_READ_BYTES = 64 << 10;

export interface ThreadLink {
  readonly calls: PendingCalls;
  /** @param handedOver memory that this thread gives away */
  readonly post: (message: ToEngine, handedOver?: ArrayBuffer[]) => void;
}

/**
 * The trainer of a job that the engine's thread has loaded. What goes wrong in setWeights is told by the
 * next answer.
 */
export function createThreadedGradientComputer(
  trainer: JobId,
  { calls, post }: ThreadLink,
): GradientComputer {
  const weightsShared = new SharedWeightsPool();
  /** Where the thread writes gradients that are wanted in memory which it does not see. */
  let ownRoom: Float32Array | null = null;
  let lastRoom: Float32Array | null = null;
  let sent: { readonly shard: Shard; readonly number: number } | null = null;

  /** Sends a message that names a shard, with its samples if they are not there yet. */
  const postWith = (shard: Shard, message: (shard: SentShard) => ToEngine): void => {
    if (sent?.shard === shard) {
      post(message({ number: sent.number, samples: null }));
      return;
    }
    sent = { shard, number: (sent?.number ?? 0) + 1 };
    // A view would take the whole frame along that it lies in.
    const sampleNumbers = shard.sampleNumbers.slice();
    const images = new Uint8Array(shard.images);
    const labels = new Uint8Array(shard.labels);
    post(message({ number: sent.number, samples: { sampleNumbers, images, labels } }), [
      sampleNumbers.buffer,
      images.buffer,
      labels.buffer,
    ]);
  };

  const computed = <Result>(result: Result): Result => {
    weightsShared.releaseOlder();
    return result;
  };

  return {
    allocateBuffer: (bytes) => new SharedArrayBuffer(bytes),
    setWeights(weights, from = 0, given = false) {
      const message = { type: 'setWeights', trainer, from } as const;
      if (given && ownsBuffer(weights)) post({ ...message, weights }, [weights.buffer]);
      else post({ ...message, weights: weightsShared.copy(weights, from) });
    },
    prepare: (step, shard) =>
      postWith(shard, (sentShard) => ({ type: 'prepare', trainer, step, shard: sentShard })),

    async gradient(step, shard, gradient, tail, factored = false) {
      const tailFrom = tail?.offset ?? null;
      const seen = gradient.buffer instanceof SharedArrayBuffer;
      const room = seen ? gradient : (ownRoom ??= allocateShared(gradient.length));
      const result = await calls.request<ShardResult>(
        (call) => {
          postWith(shard, (sentShard) => ({
            type: 'gradient',
            call,
            trainer,
            step,
            shard: sentShard,
            room: room === lastRoom ? null : room,
            tailFrom,
            factored,
          }));
          // Not before the thread is told: where that fails it still writes to the one before.
          lastRoom = room;
        },
        () => {
          if (tail === undefined) return;
          if (gradient !== room) gradient.set(room.subarray(tail.offset), tail.offset);
          tail.onReady();
        },
      );
      if (gradient !== room) gradient.set(room);
      return computed(result);
    },

    evaluate: async (shard) =>
      computed(
        await calls.request<ShardResult>((call) =>
          postWith(shard, (sentShard) => ({ type: 'evaluate', call, trainer, shard: sentShard })),
        ),
      ),

    predict: async (images, samples) =>
      computed(
        await calls.request<Float32Array>((call) =>
          post({ type: 'predict', call, trainer, images, samples }),
        ),
      ),

    dispose: () => post({ type: 'dispose', trainer }),
  };
}

/**
 * Whether nothing but the header of its own message lies in front of an array, and nothing behind it, so that its memory can
 * be handed over as a whole. ws copies a message that is larger than one read from the socket into a buffer of its own;
 * smaller ones are views of what was read, which others share.
 */
const ownsBuffer = (values: Float32Array): values is Float32Array<ArrayBuffer> =>
  values.buffer instanceof ArrayBuffer &&
  values.byteLength > MAX_READ_BYTES &&
  values.byteOffset <= RESERVED_HEADER_BYTES &&
  values.byteOffset + values.byteLength === values.buffer.byteLength;

/**
 * Copies of weights in memory that two threads see. The engine may look at one until others were set in its place and
 * computed with; only then is it written again.
 */
export class SharedWeightsPool {
  /** By place and length: a whole vector, its head, its tail. */
  readonly #slots = new Map<string, { set: Float32Array[]; readonly free: Float32Array[] }>();

  /**
   * @param from where in the flat vector they belong
   * @returns a copy in shared memory
   */
  copy(weights: Float32Array, from: number): Float32Array {
    const key = `${from} ${weights.length}`;
    const place = this.#slots.get(key) ?? { set: [], free: [] };
    this.#slots.set(key, place);
    const copy = place.free.pop() ?? allocateShared(weights.length);
    copy.set(weights);
    place.set.push(copy);
    return copy;
  }

  /** Something was computed: with the last ones that were set before it began. */
  releaseOlder(): void {
    for (const { set, free } of this.#slots.values()) free.push(...set.splice(0, set.length - 1));
  }
}

/** @returns zeros in memory that two threads see */
export function allocateShared(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
}
