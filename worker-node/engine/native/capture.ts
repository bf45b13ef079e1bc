import type { Tensor } from '@tensorflow/tfjs';
import { errorMessage } from '../../../shared/util/error-message.ts';
import type { Binding, Native, OpAttribute, TensorHandle } from './backend.ts';
import { ReductionSplitter, type ReductionSplit, type GraphOp } from './split-reductions.ts';
import { GraphDef } from './graph-def.ts';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeGraphFolder } from './graph-folders.ts';
import { NativeTensors } from './native-tensors.ts';

/** Recorded computation. */
export interface Capture {
  /** SavedModel whose placeholders have the names of the inputs, and whose outputs are named by outputName(). */
  readonly savedModel: Uint8Array;
  /** Names of the inputs, in the order in which they were named. */
  readonly inputs: readonly string[];
  /** Number of outputs; split reductions may add some after those of the computation. */
  readonly outputs: number;
}

/** Declares a tensor of float32 as an input of the computation, with a unique name. */
export type NameInput = (name: string, tensor: Tensor) => void;

export const outputName = (output: number): string => `output_${output}`;

/** Ops with random results: a replayed graph must take dropout masks as inputs. */
const RANDOM_OPS = /Random|Multinomial|TruncatedNormal/;

/**
 * Runs a computation once, op by op, and records each op that the addon executes (as a NodeDef) and each tensor that is created
 * from values (as a Const), so that it can be replayed as a graph.
 * @param compute names its inputs before it computes with them; other tensors that it creates from values become constants.
 *   The caller disposes of its results.
 * @param split outputs of the graph that are computed by parts; the results are not
 * @throws Error with a phrase that says what cannot be captured
 */
export function capture(
  native: Native,
  compute: (nameInput: NameInput) => Tensor[],
  split?: ReductionSplit,
): { capture: Capture; results: Tensor[] } {
  const { backend, proto } = native;
  const { binding } = backend;
  const graph = new GraphDef(proto, binding);
  const names = new Map<number, string>();
  const constants = new Map<number, { shape: number[]; dtype: number; values: unknown }>();
  const inputs: string[] = [];
  const recorded = new Map<string, GraphOp>();
  const shapes = new Map<number, readonly number[]>();
  // An error thrown within an op would leave tfjs in an inconsistent state, so it is recorded and thrown afterwards.
  const failures: string[] = [];
  let ops = 0;

  const recordFailure = <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      failures.push(errorMessage(error));
      return undefined;
    }
  };

  const nameOf = (id: number): string => {
    const existing = names.get(id);
    if (existing !== undefined) return existing;
    const values = constants.get(id);
    if (values === undefined) throw new Error('a tensor that was created before the step');
    const name = graph.constant(values.dtype, values.shape, values.values);
    names.set(id, name);
    return name;
  };

  const idOf = (tensor: Tensor): number => backend.getInputTensorIds([tensor])[0] as number;

  const executeOp = (
    op: string,
    attributes: OpAttribute[],
    ids: number[],
    outputs: number,
  ): TensorHandle[] => {
    const handles = binding.executeOp(op, attributes, ids, outputs);
    recordFailure(() => {
      if (RANDOM_OPS.test(op)) throw new Error(`random numbers (${op})`);
      const name = `op_${ops++}`;
      const inputNames = ids.map(nameOf);
      graph.op(name, op, inputNames, attributes);
      recorded.set(name, {
        op,
        inputs: inputNames,
        shapes: ids.map((id) => shapes.get(id) ?? []),
        attributes,
      });
      handles.forEach(({ id, shape }, i) => {
        names.set(id, i === 0 ? name : `${name}:${i}`);
        shapes.set(id, shape);
      });
    });
    return handles;
  };

  const createTensor = (shape: number[], dtype: number, values: unknown): number => {
    const id = binding.createTensor(shape, dtype, values);
    constants.set(id, { shape, dtype, values });
    shapes.set(id, shape);
    return id;
  };

  const tensorDataSync = (id: number): ReturnType<Binding['tensorDataSync']> => {
    failures.push('values that are read back while computing');
    return binding.tensorDataSync(id);
  };

  const nameInput: NameInput = (name, tensor) => {
    recordFailure(() => {
      if (tensor.dtype !== 'float32') throw new Error(`an input of ${tensor.dtype}`);
      if (inputs.includes(name)) throw new Error(`two inputs called ${name}`);
      names.set(idOf(tensor), graph.placeholder(name, binding.TF_FLOAT, tensor.shape));
      shapes.set(idOf(tensor), tensor.shape);
      inputs.push(name);
    });
  };

  // Defined by descriptors, because assigning to the addon's read-only properties fails.
  backend.binding = Object.create(binding, {
    executeOp: { value: executeOp },
    createTensor: { value: createTensor },
    tensorDataSync: { value: tensorDataSync },
  }) as Binding;
  let results: Tensor[];
  let outputs = 0;
  // A session cannot return its own inputs, so every output is a node of its own.
  const output = (name: string): void => {
    const type = { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
    graph.op(outputName(outputs++), 'Identity', [name], [type]);
  };
  try {
    results = compute(nameInput);
    recordFailure(() => {
      const computed = results.map((tensor) => nameOf(idOf(tensor)));
      const splitter = split && new ReductionSplitter(graph, binding, recorded, split.parts);
      computed.forEach((name, i) => output(splitter && i < split.reductions ? splitter.split(name) : name));
      splitter?.extraOutputs.forEach(output);
    });
  } finally {
    backend.binding = binding;
  }
  const [failure] = failures;
  if (failure !== undefined) {
    results.forEach((tensor) => tensor.dispose());
    throw new Error(failure);
  }
  return { capture: { savedModel: graph.serialize(), inputs, outputs }, results };
}

/** Captured computation in a TensorFlow session, which optimizes it as a whole and runs it in one call. */
export class CapturedGraph {
  readonly #native: Native;
  readonly #session: number;
  readonly #inputs: string;
  readonly #outputs: string;
  #disposed = false;

  /** @throws Error if TensorFlow rejects the graph */
  constructor(native: Native, { savedModel, inputs, outputs }: Capture) {
    this.#native = native;
    this.#inputs = inputs.map((name) => `${name}:0`).join();
    this.#outputs = Array.from({ length: outputs }, (_, i) => `${outputName(i)}:0`).join();
    // The addon loads graphs from folders only.
    const folder = makeGraphFolder();
    try {
      writeFileSync(join(folder, 'saved_model.pb'), savedModel);
      this.#session = native.backend.binding.loadSavedModel(folder, 'serve');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /**
   * @param inputs in the order in which they were named
   * @param more ids of further inputs
   * @returns the outputs in their order, which the caller disposes of
   */
  run(inputs: readonly Tensor[], more: readonly number[] = []): NativeTensors {
    const { backend } = this.#native;
    const { binding } = backend;
    const ids = [...backend.getInputTensorIds(inputs), ...more];
    return new NativeTensors(binding, binding.runSavedModel(this.#session, ids, this.#inputs, this.#outputs));
  }

  /** Frees the session and its graph. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#native.backend.binding.deleteSavedModel(this.#session);
  }
}
