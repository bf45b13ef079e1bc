import { float32 } from '../../../shared/codec/float32.ts';
import type { Client } from '../pool/pool-harness.ts';

export const bytesOf = (values: readonly number[]): Uint8Array => {
  const payload = new Uint8Array(float32.bytes(values.length));
  float32.encode(Float32Array.from(values), payload);
  return payload;
};
const valuesOf = (payload: Uint8Array): number[] => [...float32.decode(payload.slice(), payload.length / 4)];

/** Sends the tail of the shard that a client was given last, or a piece of it. */
export function sendTail(client: Client, values: readonly number[] = [1, 1], piece?: number): Promise<void> {
  const { step: at, shard } = client.messages('shard').at(-1)!;
  const message = { type: 'gradientTail', step: at, shard } as const;
  return client.say(piece === undefined ? message : { ...message, piece }, bytesOf(values));
}
export const sendHead = (client: Client, values: readonly number[] = [1, 1, 1, 1]): Promise<void> =>
  client.answer({ type: 'gradient', head: true }, values);

/** What a client was sent, with the values of weights. */
export const sentTo = (client: Client): unknown[] =>
  client.received
    .slice(1)
    .map(({ message, payload }) =>
      message.type === 'weights' || message.type === 'weightsTail'
        ? [message.type, message.step, valuesOf(payload)]
        : message.type,
    );
