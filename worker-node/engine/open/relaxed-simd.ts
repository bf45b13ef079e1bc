import { setFlagsFromString } from 'node:v8';
import { host } from '../../../shared/kernels/module.ts';

/** Module with one function, whose body is f32x4.relaxed_madd of three vectors of zeros. */
const RELAXED_MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x13, 0x01, 0x11, 0x00],
  ...[0x41, 0x00, 0xfd, 0x11, 0x41, 0x00, 0xfd, 0x11, 0x41, 0x00, 0xfd, 0x11],
  ...[0xfd, 0x85, 0x02, 0x0b],
]);

/** Whether this Node compiles relaxed SIMD. */
export const knowsRelaxedSimd = (): boolean => host.WebAssembly?.validate(RELAXED_MODULE) === true;

/**
 * Lets kernels use relaxed SIMD in Node 20, which has it behind a flag of V8. Later versions need no flag, and Node 24 refuses
 * it. To be called before kernels are registered.
 */
export function enableRelaxedSimd(): void {
  if (!knowsRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');
}
