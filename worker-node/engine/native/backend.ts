import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../../shared/util/tf.ts';
import type { Proto } from './proto.ts';

/** Tensor of the addon. */
export interface TensorHandle {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** Attribute of an op, in the addon's format. */
export interface OpAttribute {
  readonly name: string;
  /** TF_ATTR_ constant of the binding. */
  readonly type: number;
  readonly value: unknown;
}

/** Used part of tfjs-node's addon (4.22), through which the backend computes everything. */
export interface Binding {
  readonly TF_Version?: string;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_STRING: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  createTensor(shape: number[], dtype: number, values: unknown): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(name: string, attributes: OpAttribute[], inputs: number[], outputs: number): TensorHandle[];
  loadSavedModel(folder: string, tags: string): number;
  deleteSavedModel(id: number): void;
  /** @param inputNames separated by commas, like outputNames: "x:0,y:0" */
  runSavedModel(id: number, inputs: number[], inputNames: string, outputNames: string): TensorHandle[];
}

/** Used part of tfjs-node's backend, which exports no type without its addon. */
export interface NativeBackend {
  binding: Binding;
  readonly isUsingGpuDevice?: boolean;
  /** Ids of tensors; uploads their values to TensorFlow if necessary. */
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  executeSingleOutput(name: string, attributes: OpAttribute[], inputs: readonly TensorInfo[]): Tensor;
}

/** Opened tfjs-node. */
export interface Native {
  readonly tf: TF;
  readonly backend: NativeBackend;
  readonly proto: Proto;
}
