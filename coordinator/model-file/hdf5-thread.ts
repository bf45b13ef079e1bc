import { parentPort, workerData } from 'node:worker_threads';
import { FileProblem, openHdf5, type Hdf5Reader, type Hdf5Tensor } from './hdf5.ts';
import type { KerasTensor } from './keras-tensors.ts';

/** Request to a thread that reads an HDF5 file. */
export type Hdf5Request = { readonly bytes: Uint8Array } & (
  | { readonly kind: 'configs' }
  | {
      readonly kind: 'weights';
      readonly tensors: readonly KerasTensor[];
      /** Names of the layers of the outermost model, as the file has them. */
      readonly layerNames: readonly string[];
    }
);

/** Attributes of a whole model, as text; null for each that is missing. */
export interface Hdf5Configs {
  readonly model: string | null;
  readonly training: string | null;
  readonly version: string | null;
}

/** State of an optimizer: its steps, and its tensors in the order of the file, as far as they are of the type float32. */
export interface Hdf5Optimizer {
  readonly iterations: number;
  readonly tensors: readonly Hdf5Tensor[];
}

/** Weights by name, with the state of the optimizer; null if the file has none. */
export interface Hdf5Weights {
  readonly weights: Map<string, Hdf5Tensor>;
  readonly optimizer: Hdf5Optimizer | null;
}

/** Answer of a thread, or the reason why there is none, as a part of a sentence. */
export type Hdf5Reply = { readonly result: Hdf5Configs | Hdf5Weights } | { readonly problem: string };

async function answer(request: Hdf5Request): Promise<Hdf5Reply> {
  try {
    const reader = await openHdf5(request.bytes);
    return {
      result:
        request.kind === 'configs'
          ? readConfigs(reader)
          : {
              weights: readWeights(reader, request.tensors, request.layerNames),
              optimizer: readOptimizerState(reader, request.tensors.length),
            },
    };
  } catch (error) {
    return { problem: error instanceof FileProblem ? error.message : 'it is damaged or cut short' };
  }
}

function readConfigs(reader: Hdf5Reader): Hdf5Configs {
  const first = (name: string): string | null => reader.strings('/', name)?.[0] ?? null;
  return {
    model: first('model_config'),
    training: first('training_config'),
    version: first('keras_version'),
  };
}

function readWeights(
  reader: Hdf5Reader,
  tensors: readonly KerasTensor[],
  layerNames: readonly string[],
): Map<string, Hdf5Tensor> {
  const isWhole = reader.hasGroup('model_weights');
  const hasLists = isWhole || readNames(reader, '/', 'layer_names') !== null;
  if (!hasLists && !reader.hasGroup('layers')) throw new FileProblem('it has no weights of Keras');
  const found = hasLists
    ? readByLayer(reader, isWhole ? 'model_weights' : '', tensors, layerNames)
    : readByPath(reader, tensors);
  for (const [name, { values }] of found) {
    if (!values.every(Number.isFinite))
      throw new FileProblem(`its weights of ${name} are not all finite numbers`);
  }
  return found;
}

/** Tensors that an optimizer has at most for each one of the model, and besides. */
const MAX_SLOTS = 4;

/** State of the optimizer; null if there is none, or none that can be read, which is no reason to refuse the model. */
function readOptimizerState(reader: Hdf5Reader, modelTensors: number): Hdf5Optimizer | null {
  try {
    return readOptimizer(reader, modelTensors);
  } catch {
    return null;
  }
}

/** State of the optimizer, in the file of a whole model of Keras 2 or 3, or in the weights of a .keras file. */
function readOptimizer(reader: Hdf5Reader, modelTensors: number): Hdf5Optimizer | null {
  const names = reader.hasGroup('optimizer_weights')
    ? readNames(reader, 'optimizer_weights', 'weight_names')
    : null;
  const pathOf = (i: number): string | null =>
    names === null ? `optimizer/vars/${i}` : names[i] === undefined ? null : `optimizer_weights/${names[i]}`;
  const first = pathOf(0);
  const iterations = first === null ? null : reader.integer(first);
  if (iterations === null) return null;
  const tensors: Hdf5Tensor[] = [];
  for (let i = 1; i < MAX_SLOTS * (modelTensors + 1); i++) {
    const path = pathOf(i);
    const tensor = path === null ? null : reader.tensor(path);
    if (tensor === null) break;
    tensors.push(tensor);
  }
  return { iterations, tensors };
}

/** Weights in the format of Keras 3, where each tensor has a path of its own. */
function readByPath(reader: Hdf5Reader, tensors: readonly KerasTensor[]): Map<string, Hdf5Tensor> {
  return new Map(
    tensors.map(({ name, path }) => {
      const tensor = reader.tensor(path);
      if (tensor === null) throw new FileProblem(`its weights of ${name} (${path}) are missing`);
      return [name, tensor];
    }),
  );
}

/** Weights in the format of Keras 2, where each layer of the outermost model has a list: trainable tensors first. */
function readByLayer(
  reader: Hdf5Reader,
  root: string,
  tensors: readonly KerasTensor[],
  layerNames: readonly string[],
): Map<string, Hdf5Tensor> {
  const found = new Map<string, Hdf5Tensor>();
  layerNames.forEach((layerName, layer) => {
    const own = tensors.filter((tensor) => tensor.layer === layer);
    if (own.length === 0) return;
    const group = `${root}/${layerName}`;
    const names = readNames(reader, group, 'weight_names');
    if (names === null) throw new FileProblem(`its weights of layer ${layerName} are missing`);
    const ordered = [
      ...own.filter(({ trainable }) => trainable),
      ...own.filter(({ trainable }) => !trainable),
    ];
    if (names.length !== ordered.length) {
      throw new FileProblem(
        `it has ${names.length} tensors of layer ${layerName}, which has ${ordered.length} in the model`,
      );
    }
    ordered.forEach(({ name }, i) => {
      const tensor = reader.tensor(`${group}/${names[i] ?? ''}`);
      if (tensor === null) throw new FileProblem(`its weights of ${name} are missing`);
      found.set(name, tensor);
    });
  });
  return found;
}

/** List of names in an attribute, or in several with numbers if it was too long for one. */
function readNames(reader: Hdf5Reader, group: string, attribute: string): readonly string[] | null {
  const whole = reader.strings(group, attribute);
  if (whole !== null) return whole;
  const parts: string[] = [];
  for (let i = 0; ; i++) {
    const part = reader.strings(group, `${attribute}${i}`);
    if (part === null) return i === 0 ? null : parts;
    parts.push(...part);
  }
}

parentPort?.postMessage(await answer(workerData as Hdf5Request));
