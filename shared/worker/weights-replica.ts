import { getCodec, type Codec } from '../codec/registry.ts';
import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { ReceivedUpdate } from './received-weights.ts';

/** The weights of a worker that gets updates: the same bits as in the coordinator and every other worker. */
export class WeightsReplica {
  readonly #codec: Codec | null;
  readonly #length: number;
  /** As they came, from the vector's end to its start; together they are all of it. Read only. */
  #parts: { readonly from: number; readonly values: Float32Array }[] = [];
  /** Two vectors of our own by turns: an engine may still look at the last one. */
  #buffers: [Float32Array, Float32Array] | null = null;

  /**
   * @param codec of updates that do not name another one; null if all have to
   * @param length of the flat vector
   */
  constructor(codec: Codec | null, length: number) {
    this.#codec = codec;
    this.#length = length;
  }

  /**
   * Costs nothing before an update comes.
   * @param weights the flat vector, or its end, or what was missing before that; must not change any more
   */
  set(weights: Float32Array, from = 0): void {
    if (from + weights.length === this.#length) this.#parts = [];
    this.#parts.push({ from, values: weights });
  }

  /**
   * @returns the weights of the update's step; must not be changed
   * @throws ProtocolError (wrongLength, malformed, unsupported)
   */
  apply({ pieces }: ReceivedUpdate): Float32Array {
    const old = this.#assemble();
    const next = this.#otherBuffer(old);
    let end = this.#length;
    for (const { from, encoding, payload } of pieces) {
      if (from >= end) {
        throw new ProtocolError(CloseCode.malformed, `An update from ${from} of ${end} values.`);
      }
      const codec = encoding === undefined ? this.#codec : getCodec(encoding);
      if (codec === null) throw new ProtocolError(CloseCode.malformed, 'An update without updateCodec.');
      codec.decodeOnto(payload, old.subarray(from, end), next.subarray(from, end));
      end = from;
    }
    this.#parts = [{ from: 0, values: next }];
    return next;
  }

  #assemble(): Float32Array {
    const [part] = this.#parts;
    if (part?.from === 0) return part.values;
    const room = this.#otherBuffer(null);
    for (const { from, values } of this.#parts) room.set(values, from);
    return room;
  }

  #otherBuffer(values: Float32Array | null): Float32Array {
    const [a, b] = (this.#buffers ??= [new Float32Array(this.#length), new Float32Array(this.#length)]);
    return values === a ? b : a;
  }
}
