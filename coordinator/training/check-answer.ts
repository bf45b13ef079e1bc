import { codecNamed } from '../../shared/codec/codec.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import type { ShardAnswer } from '../../shared/protocol/messages.ts';
import type { GivenShard } from './round.ts';
import { vectorKernels } from './vector/vector.ts';

/**
 * Reads an answer's gradient, believing nothing.
 * @returns the gradient, a view of the payload where the codec allows it; empty for an evaluation
 * @throws ProtocolError with the code and sentence that the worker is told
 */
export function readAnswer(
  answer: ShardAnswer,
  payload: Uint8Array,
  shard: GivenShard,
  codec: string,
  length: number,
): Float32Array {
  const samples = shard.to - shard.from;
  if (answer.samples !== samples) {
    throw new ProtocolError(
      CloseCode.unknownSamples,
      `Shard ${shard.id} has ${samples} samples; the answer is for ${answer.samples}.`,
    );
  }
  if (!Number.isFinite(answer.lossSum) || answer.lossSum < 0) {
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
    return new Float32Array(0);
  }
  const gradient = codecNamed(codec).decode(payload, length);
  if (!vectorKernels.allFinite(gradient)) {
    throw new ProtocolError(
      CloseCode.notFinite,
      `The gradient of shard ${shard.id} has values that are not finite.`,
    );
  }
  return gradient;
}
