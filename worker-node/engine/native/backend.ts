import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../../shared/util/tf.ts';
import type { Proto } from './proto.ts';

/** A tensor of the addon. */
export interface TensorHandle {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** An op's attribute as the addon takes it. */
export interface OpAttribute {
  readonly name: string;
  /** One of the binding's TF_ATTR_ constants. */
  readonly type: number;
  readonly value: unknown;
}

/** What is used here of tfjs-node's addon (4.22). Everything that the backend computes passes through it. */
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
  /** @param inputNames separated by commas, as outputNames are: "x:0,y:0" */
  runSavedModel(id: number, inputs: number[], inputNames: string, outputNames: string): TensorHandle[];
}

/** What is used here of tfjs-node's backend, for which it exports no type without its addon. */
export interface NativeBackend {
  binding: Binding;
  readonly isUsingGpuDevice?: boolean;
  /** Handles of tensors, whose values are handed to TensorFlow if they were not yet. */
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  executeSingleOutput(name: string, attributes: OpAttribute[], inputs: readonly TensorInfo[]): Tensor;
}

/** tfjs-node, opened. */
export interface Native {
  readonly tf: TF;
  readonly backend: NativeBackend;
  readonly proto: Proto;
}
