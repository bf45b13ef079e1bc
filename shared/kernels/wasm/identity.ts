import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import { kernelFunc } from './backend.ts';

interface IdentityInputs {
  readonly x: TensorInfo;
}

/**
 * Identity: the same values under a second reference, as tfjs' other backends do it. The wasm backend copies, and
 * tfjs clones every tensor that it saves for the backward pass.
 */
export function identity(): KernelFunc {
  return kernelFunc<IdentityInputs, object>(({ inputs, backend }) => {
    const { dataId, shape, dtype } = inputs.x;
    (backend as WasmBackend & { incRef(dataId: object): void }).incRef(dataId);
    return { dataId, shape, dtype };
  });
}
