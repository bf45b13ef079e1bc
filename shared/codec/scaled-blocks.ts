import { SCALE_BLOCK_SIZE } from './kernels/kernels.ts';

/** Bytes of the scales of `length` values, at the start of their payload. */
export const scaleBytes = (length: number): number => 4 * Math.ceil(length / SCALE_BLOCK_SIZE);

export const scalesIn = (payload: Uint8Array, length: number): Float32Array =>
  new Float32Array(payload.buffer, payload.byteOffset, Math.ceil(length / SCALE_BLOCK_SIZE));
