import type { Shard } from '../../data/shard.ts';
import type { TensorValues } from '../../model/tensors.ts';
import type { Step } from '../../protocol/messages.ts';
import type { GradientComputer } from '../engine.ts';
import {
  isTransferable,
  type EngineAnswers,
  type EngineNotification,
  type EngineRequest,
  type JobId,
  type ShardReference,
} from './messages.ts';
import { WeightsChannel, type AllocateShared } from './weights-channel.ts';

export interface RemoteGradientComputerOptions {
  readonly connection: Requests;
  readonly jobId: JobId;
  /** Length of the flat vector. */
  readonly length: number;
  readonly supportsFactors: boolean;
  readonly allocateShared: AllocateShared | null;
}

/** Sends messages to the engine's thread. */
export interface Requests {
  request<Type extends EngineRequest['type']>(
    request: Extract<EngineRequest, { type: Type }>,
    transfer?: ArrayBuffer[],
    onBucket?: () => void,
  ): Promise<EngineAnswers[Type]>;
  notify(message: EngineNotification, transfer?: ArrayBuffer[]): void;
}

/** Job that is loaded by an engine in another thread. */
export interface RemoteGradientComputer extends GradientComputer {
  /** Sets weights in memory that the engine's thread sees too; they must not change until others are set and used. */
  setSharedWeights(weights: Float32Array): void;
}

/**
 * Forwards to a job that the engine's thread has loaded. Gradients are written to shared memory where there is any, and
 * buckets are reported only then; otherwise a buffer travels there and back. A failure of setWeights rejects the next answers.
 */
export function createRemoteGradientComputer(options: RemoteGradientComputerOptions): RemoteGradientComputer {
  const { connection, jobId, length, supportsFactors, allocateShared } = options;
  const channel = new WeightsChannel(allocateShared);
  /** Receives gradients that are wanted in memory which the engine's thread does not see; null while it is transferred. */
  let ownBuffer: Float32Array | null = null;
  let lastSharedBuffer: Float32Array | null = null;
  let lastShard: { readonly shard: Shard; readonly number: number } | null = null;

  /** @returns a reference to a shard, with copies of its samples if the engine's thread does not have them */
  const refer = (shard: Shard): { readonly reference: ShardReference; readonly transfer: ArrayBuffer[] } => {
    if (lastShard?.shard === shard) {
      return { reference: { number: lastShard.number, samples: null }, transfer: [] };
    }
    const number = (lastShard?.number ?? 0) + 1;
    lastShard = { shard, number };
    const sampleNumbers = shard.sampleNumbers.slice();
    const inputs = shard.inputs.map(copyOf);
    const targets = shard.targets.map(copyOf);
    const weights = shard.weights?.slice();
    return {
      reference: {
        number,
        samples: { sampleNumbers, inputs, targets, ...(weights === undefined ? {} : { weights }) },
      },
      transfer: [sampleNumbers, ...inputs, ...targets, ...(weights === undefined ? [] : [weights])].map(
        ({ buffer }) => buffer,
      ),
    };
  };

  interface GradientCall {
    readonly step: Step;
    readonly shard: Shard;
    readonly buffer: Float32Array;
    readonly bucketOffset?: number | undefined;
    readonly isFactored?: boolean | undefined;
    readonly onBucket?: () => void;
  }
  const requestGradient = async (call: GradientCall): Promise<EngineAnswers['gradient']> => {
    const { step, shard, buffer, bucketOffset = null, isFactored = false, onBucket } = call;
    const { reference, transfer } = refer(shard);
    if (isTransferable(buffer)) transfer.push(buffer.buffer);
    const answer = connection.request(
      {
        type: 'gradient',
        jobId,
        step,
        shard: reference,
        buffer: buffer === lastSharedBuffer ? null : buffer,
        bucketOffset,
        isFactored,
      },
      transfer,
      onBucket,
    );
    // Only once the message is posted: otherwise the engine still writes to the buffer before.
    lastSharedBuffer = isTransferable(buffer) ? null : buffer;
    const received = await answer;
    channel.releaseOlder();
    return received;
  };

  const takeOwnBuffer = (): Float32Array => {
    const bytes = length * Float32Array.BYTES_PER_ELEMENT;
    const buffer = ownBuffer ?? new Float32Array(allocateShared?.(bytes) ?? new ArrayBuffer(bytes));
    ownBuffer = isTransferable(buffer) ? null : buffer;
    return buffer;
  };

  return {
    ...(allocateShared === null ? {} : { allocateBuffer: allocateShared }),
    supportsFactors,

    setWeights(weights, transferOwnership = false) {
      const { weights: packed, transfer } = channel.pack(weights, transferOwnership);
      connection.notify({ type: 'setWeights', jobId, weights: packed }, transfer);
    },
    setSharedWeights: (weights) => connection.notify({ type: 'setWeights', jobId, weights }),

    prepare(step, shard) {
      const { reference, transfer } = refer(shard);
      connection.notify({ type: 'prepare', jobId, step, shard: reference }, transfer);
    },

    async gradient(step, shard, gradient, bucket, isFactored) {
      const isSeen = allocateShared !== null && !isTransferable(gradient);
      const buffer = isSeen ? gradient : takeOwnBuffer();
      /** End of the values that the caller does not have. */
      let end = gradient.length;
      const onBucket = (): void => {
        if (bucket === undefined) return;
        if (gradient !== buffer) gradient.set(buffer.subarray(bucket.offset), bucket.offset);
        end = bucket.offset;
        bucket.onReady();
      };
      const bucketOffset = allocateShared === null ? undefined : bucket?.offset;
      const answer = await requestGradient({ step, shard, buffer, bucketOffset, isFactored, onBucket });
      ownBuffer = answer.buffer ?? ownBuffer;
      // The caller may have changed the bucket since.
      if (gradient !== buffer) gradient.set((answer.buffer ?? buffer).subarray(0, end));
      return answer.result;
    },

    async evaluate(shard) {
      const { reference, transfer } = refer(shard);
      const result = await connection.request({ type: 'evaluate', jobId, shard: reference }, transfer);
      channel.releaseOlder();
      return result;
    },

    async predict(inputs, samples, output = 0) {
      const copies = inputs.map(copyOf);
      const probabilities = await connection.request(
        { type: 'predict', jobId, inputs: copies, samples, output },
        copies.map(({ buffer }) => buffer),
      );
      channel.releaseOlder();
      return probabilities;
    },

    dispose: () => connection.notify({ type: 'dispose', jobId }),
  };
}

/** Copy that can be transferred. A view would take along the whole memory behind it. */
const copyOf = (values: TensorValues) =>
  // The slice of a Buffer of Node would be a view.
  values instanceof Uint8Array ? new Uint8Array(values) : values.slice();
