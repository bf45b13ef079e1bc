import { WeightsReplica } from '../../../shared/codec/weights-replica.ts';
import { float32 } from '../../../shared/codec/float32.ts';
import { getCodec } from '../../../shared/codec/registry.ts';
import { isComplete, receiveBucket, type ReceivedVector } from '../../../shared/worker/session.ts';
import type { Client, JoinOptions } from '../pool/pool-harness.ts';

export const OFFSET = 4;
export const CODECS = { up: 'float32', down: 'int8' };
export const KNOWN = { codecs: ['float32', 'int8'] };
/** Workers with an update codec, with buckets and without. */
export const WITH_BUCKETS: JoinOptions = { ...KNOWN, buckets: true };
export const WITHOUT: JoinOptions = { ...KNOWN, buckets: false };

/** Labels of the messages that a client was sent. */
export const sentTo = (client: Client): string[] =>
  client.received
    .slice(1)
    .map(({ message }) =>
      message.type === 'update' || message.type === 'weights'
        ? `${message.type} ${message.step} from ${message.offset}`
        : message.type,
    );

/** Weights and step of a client after all messages. @throws ProtocolError if a bucket does not follow the one before */
export function heldBy(client: Client): { readonly step: number; readonly weights: number[] } {
  const [welcome] = client.messages('welcome');
  const replica = new WeightsReplica(6);
  let partial: ReceivedVector | null = null;
  let step = -1;
  let weights = new Float32Array(0);
  for (const { message, payload } of client.received) {
    if (message.type !== 'weights' && message.type !== 'update') continue;
    const vector: ReceivedVector = receiveBucket(partial, message, payload.slice(), 6);
    partial = isComplete(vector) ? null : vector;
    if (partial !== null) continue;
    if (vector.kind === 'update') {
      if (vector.step !== step + 1) throw new Error(`An update to ${vector.step} on weights of ${step}.`);
      weights = Float32Array.from(
        replica.applyUpdate(
          vector.buckets.map(({ offset, payload: bytes, encoding = welcome?.updateCodec ?? '' }) => ({
            offset,
            payload: bytes,
            codec: getCodec(encoding),
          })),
        ),
      );
    } else {
      weights = new Float32Array(6);
      let end = 6;
      for (const { offset, payload: bytes } of vector.buckets) {
        weights.set(float32.decode(bytes, end - offset), offset);
        end = offset;
      }
      replica.set(weights);
    }
    step = vector.step;
  }
  return { step, weights: [...weights] };
}

/** Answers a shard, by default the last one, with ones, bucket by bucket. @param between called after each early bucket */
export async function answerInBuckets(
  client: Client,
  offsets: readonly number[],
  between: (offset: number) => Promise<void> = () => Promise.resolve(),
  { step, shard } = client.messages('shard').at(-1)!,
): Promise<void> {
  let end = 6;
  for (const offset of offsets.slice(1).reverse()) {
    const values = new Float32Array(end - offset).fill(1);
    await client.say({ type: 'gradient', step, shard, offset }, new Uint8Array(values.buffer));
    end = offset;
    await between(offset);
  }
  await client.answer(
    { shard },
    Array.from({ length: end }, () => 1),
  );
}

/** Answers the last shards of all clients. */
export async function answerAll(...clients: Client[]): Promise<void> {
  for (const client of clients) await client.answer();
}
