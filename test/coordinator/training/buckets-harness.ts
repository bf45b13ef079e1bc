import { float32 } from '../../../shared/codec/float32.ts';
import type { Client } from '../pool/pool-harness.ts';

export const bytesOf = (values: readonly number[]): Uint8Array => {
  const payload = new Uint8Array(float32.bytes(values.length));
  float32.encode(Float32Array.from(values), payload);
  return payload;
};
const valuesOf = (payload: Uint8Array): number[] => [...float32.decode(payload.slice(), payload.length / 4)];

/** Sends a bucket of the gradient of the shard that a client was sent last. */
export function sendBucket(
  client: Client,
  offset: number,
  values: readonly number[] = [1, 1],
): Promise<void> {
  const { step, shard } = client.messages('shard').at(-1)!;
  return client.say({ type: 'gradient', step, shard, offset }, bytesOf(values));
}

/** Sends the last bucket of a gradient, with the result. */
export const sendLast = (client: Client, values: readonly number[] = [1, 1, 1, 1]): Promise<void> =>
  client.answer({}, values);

/** Messages that a client was sent, weights with offset and values. */
export const sentTo = (client: Client): unknown[] =>
  client.received
    .slice(1)
    .map(({ message, payload }) =>
      message.type === 'weights'
        ? [message.type, message.step, message.offset, valuesOf(payload)]
        : message.type,
    );
