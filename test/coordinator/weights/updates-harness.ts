import { getCodec } from '../../../shared/codec/registry.ts';
import { WeightsReplica } from '../../../shared/worker/weights-replica.ts';
import { bucketRanges } from '../../../shared/protocol/buckets.ts';
import {
  noPartialWeights,
  receiveWeightsBucket,
  receiveUpdate,
  receiveWeights,
} from '../../../shared/worker/received-weights.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import type { Client } from '../pool/pool-harness.ts';

export const TAIL_FROM = 4;
export const CODECS = { up: 'float32', down: 'int8' };
export const KNOWN = { codecs: ['float32', 'int8'] };
export const [WITH_TAILS, WITHOUT] = [
  { ...KNOWN, tails: true },
  { ...KNOWN, tails: false },
];

/** What a client was sent, in short. */
export const sentTo = (client: Client): string[] =>
  client.received.slice(1).map(({ message }) => {
    if (message.type === 'update') return `update ${message.step} from ${message.from ?? 0}`;
    return message.type === 'weights' || message.type === 'weightsTail'
      ? `${message.type} ${message.step}`
      : message.type;
  });

/** What a client makes of all that it was sent: the weights that it holds now, and their step. */
export function heldBy(client: Client): { readonly step: number; readonly weights: number[] } {
  // Who was refused has none, and holds nothing.
  const [welcome] = client.messages('welcome');
  const { tailCuts = [], updateCodec } = welcome ?? {};
  const held = new WeightsReplica(updateCodec === undefined ? null : getCodec(updateCodec), 6);
  let [pieces, at, weights]: [typeof noPartialWeights, Step | null, Float32Array] = [
    noPartialWeights,
    null,
    new Float32Array(),
  ];
  for (const { message, payload } of client.received) {
    if (message.type === 'weightsTail') {
      pieces = receiveWeightsBucket(pieces, message, payload.slice(), tailCuts, 6);
    } else if (message.type === 'weights') {
      const { buckets } = receiveWeights(pieces, message, payload, tailCuts);
      weights = new Float32Array(6);
      for (const { from, payload: part } of buckets ?? []) weights.set(new Float32Array(part.buffer), from);
      weights.set(new Float32Array(payload.slice().buffer));
      held.set(weights);
      [pieces, at] = [noPartialWeights, message.step];
    } else if (message.type === 'update') {
      const received = receiveUpdate(pieces, message, payload.slice(), at);
      pieces = received.pieces;
      if (received.update !== null) [at, weights] = [message.step, held.apply(received.update)];
    }
  }
  return { step: at ?? -1, weights: [...weights] };
}

/** Answers a shard, the last one if none is named, piece by piece, with ones; meanwhile things may happen. */
export async function answerInPieces(
  client: Client,
  cuts: readonly number[],
  between: (piece: number) => Promise<void> = () => Promise.resolve(),
  { step, shard } = client.messages('shard').at(-1)!,
): Promise<void> {
  for (const { piece, from, to } of bucketRanges(cuts, 6)) {
    const values = new Float32Array(to - from).fill(1);
    await client.say({ type: 'gradientTail', step, shard, piece }, new Uint8Array(values.buffer));
    await between(piece);
  }
  await client.answer(
    { type: 'gradient', shard, head: true },
    Array.from({ length: cuts[0] ?? 6 }, () => 1),
  );
}

/** Everybody answers the shards of a round. */
export async function answerAll(...clients: Client[]): Promise<void> {
  for (const client of clients) await client.answer();
}
