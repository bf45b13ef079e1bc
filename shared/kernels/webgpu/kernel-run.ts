import type { NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs';

/** Part of tfjs' WebGPUBackend that corrections of its kernels use. */
export interface Backend {
  readonly tensorMap: { get(dataId: object): { readonly dtype: string } | undefined };
  makeTensorInfo(shape: number[], dtype: 'float32', values: Float32Array): TensorInfo;
  incRef(dataId: object): void;
  disposeData(dataId: object): boolean;
}

/** Arguments of a kernel. */
export interface Call {
  readonly inputs: NamedTensorInfoMap;
  readonly attrs: NamedAttrMap;
  readonly backend: Backend;
}

/** Kernel as tfjs registers it. */
export type Run = (call: Call) => TensorInfo;

/** Number of values of a shape. */
export const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** The same values with another shape. */
export const reshaped = ({ dataId, dtype }: TensorInfo, shape: readonly number[]): TensorInfo => ({
  dataId,
  shape: [...shape],
  dtype,
});
