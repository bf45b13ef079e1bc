import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { copyModel, isRecord, layersOf } from '../../shared/model/keras-layer.ts';
import type { Topology } from '../../shared/model/job.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { DataError } from '../../shared/data/data-error.ts';
import type { DataFile } from '../data/data-file.ts';
import { zipInMemory } from '../data/zip-entries.ts';
import { FileProblem } from './hdf5.ts';
import type { Hdf5Configs, Hdf5Reply, Hdf5Request, Hdf5Weights } from './hdf5-thread.ts';
import { kerasTensors } from './keras-tensors.ts';

/** Settings of model.compile() as Keras wrote them; null for each that is missing. */
export interface CompileConfig {
  /** { class_name, config }, or a name alone, which means Keras' defaults. */
  readonly optimizer: unknown;
  readonly loss: unknown;
  readonly lossWeights: unknown;
  readonly metrics: unknown;
  readonly weightedMetrics: unknown;
}

/** Contents of a .keras file that are parsed as JSON. */
export interface KerasArchive {
  readonly config: unknown;
  /** The file of weights in the archive. */
  readonly weights: Uint8Array;
}

const WEIGHTS_NAME = 'model.weights.h5';
const MAX_CONFIG_BYTES = 64 * 2 ** 20;
const MAX_WEIGHTS_BYTES = 2 ** 31 - 1;
/** Keras does not compress its archives, and ordinary compression of floats saves little. */
const MAX_EXPANSION = 20;
/** Size that is unpacked at any rate of compression. */
const SMALL_BYTES = 16 * 2 ** 20;

/**
 * Reads a .keras file. Nothing is unpacked to disk.
 * @throws Error with a sentence that names the file
 */
export async function readKerasArchive(file: string, bytes: Uint8Array): Promise<KerasArchive> {
  try {
    return await readEntries(file, bytes);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new Error(
      `${file} is a zip archive that is cut short, damaged or encrypted. Copy the .keras file again, or save it again with Keras.`,
      { cause: error },
    );
  }
}

async function readEntries(file: string, bytes: Uint8Array): Promise<KerasArchive> {
  const entries = await zipInMemory(bytes, sanitizeForTerminal(file));
  const named = (name: string): DataFile | undefined => entries.find((entry) => entry.name === name);
  const config = named('config.json');
  const weights = named(WEIGHTS_NAME);
  if (config === undefined) throw new Error(`${file} is ${describeOtherArchive(entries)}`);
  if (weights === undefined) {
    throw new Error(
      `${file} has no ${WEIGHTS_NAME}. Save it again with model.save('model.keras') in Python.`,
    );
  }
  const limit = (most: number): number => Math.min(most, Math.max(SMALL_BYTES, MAX_EXPANSION * bytes.length));
  const text = new TextDecoder().decode(await unpack(file, config, limit(MAX_CONFIG_BYTES)));
  return {
    config: parseConfig(file, text),
    weights: await unpack(file, weights, limit(MAX_WEIGHTS_BYTES)),
  };
}

function describeOtherArchive(entries: readonly DataFile[]): string {
  const has = (pattern: RegExp): boolean => entries.some(({ name }) => pattern.test(name));
  if (has(/(^|\/)data\.pkl$/)) {
    return 'a model of PyTorch, which gradcast does not read. Build the model in Keras and save it as .keras.';
  }
  if (has(/\.npy$/))
    return "a file of NumPy arrays (.npz). Save the model with model.save('model.keras') in Python.";
  if (has(/(^|\/)saved_model\.pb$/)) {
    return "a packed SavedModel. Load it in Python and save it with model.save('model.keras').";
  }
  if (has(/\/config\.json$/)) {
    return 'a zip archive with config.json in a folder. Name the .keras file itself, or pack its files without the folder.';
  }
  return "a zip archive without config.json, so not a .keras file. Save the model with model.save('model.keras') in Python.";
}

async function unpack(file: string, entry: DataFile, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of entry.open()) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new Error(
        `${file} unpacks to more than ${maxBytes} bytes of ${entry.name}, which no .keras file does. Save the model again.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseConfig(file: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Error(`${file} has a model configuration that is not JSON. Save the model again with Keras.`, {
      cause: error,
    });
  }
}

/** Model configuration and training configuration of an .h5 file; null for each that is missing. */
export async function readHdf5Configs(
  file: string,
  bytes: Uint8Array,
  timeoutMs?: number,
): Promise<{ readonly model: unknown; readonly training: unknown; readonly kerasVersion: string | null }> {
  const { model, training, version } = await askThread<Hdf5Configs>(
    file,
    { bytes, kind: 'configs' },
    timeoutMs,
  );
  const parse = (text: string | null): unknown => (text === null ? null : parseConfig(file, text));
  return { model: parse(model), training: parse(training), kerasVersion: version };
}

/**
 * Reads the weights of a model from an HDF5 file of Keras: the weights of a .keras file, a whole model of Keras 2 or 3, or
 * weights alone; with the state of the optimizer, if the file has one.
 * @throws Error with a sentence that names the file and the tensor if weights are missing or not finite numbers
 */
export function readKerasWeights(file: string, bytes: Uint8Array, topology: Topology): Promise<Hdf5Weights> {
  const layerNames = layersOf(copyModel(topology)).map(({ config, name }) => String(config.name ?? name));
  return askThread(file, { bytes, kind: 'weights', tensors: kerasTensors(topology), layerNames });
}

/** Time to read any file, and each MiB of it. A damaged file can make the HDF5 library loop for ever. */
const TIMEOUT_MS = 60_000;
const TIMEOUT_MS_PER_MIB = 200;

/**
 * Reads an HDF5 file in a thread, which is ended when it takes too long.
 * @throws Error with a sentence that names the file
 */
async function askThread<Result>(
  file: string,
  request: Hdf5Request,
  timeoutMs = TIMEOUT_MS + (TIMEOUT_MS_PER_MIB * request.bytes.length) / 2 ** 20,
): Promise<Result> {
  const thread = new Worker(findThreadFile(), { workerData: request });
  try {
    const [reply] = (await Promise.race([
      once(thread, 'message', { signal: AbortSignal.timeout(Math.ceil(timeoutMs)) }),
      once(thread, 'exit').then(() => Promise.reject(new Error('The thread ended.'))),
    ])) as [Hdf5Reply];
    if ('result' in reply) return reply.result as Result;
    throw new FileProblem(reply.problem);
  } catch (error) {
    const reason = error instanceof FileProblem ? error.message : 'it is damaged or cut short';
    throw new Error(
      `${file} cannot be used: ${sanitizeForTerminal(reason)}. Save the model again with Keras.`,
      { cause: error },
    );
  } finally {
    await thread.terminate();
  }
}

/** The built thread, in the package that contains this module as source or as part of a bundle. */
function findThreadFile(): URL {
  for (let folder = new URL('.', import.meta.url); ;) {
    const file = new URL('dist/coordinator/model-file/hdf5-thread.js', folder);
    if (existsSync(file)) return file;
    const parent = new URL('..', folder);
    if (parent.href === folder.href) throw new Error('gradcast is not built. Run node scripts/build.js.');
    folder = parent;
  }
}

/** Settings of model.compile() in the compile_config of Keras 3 or the training_config of Keras 2; null if there are none. */
export function readCompileConfig(serialized: unknown): CompileConfig | null {
  if (!isRecord(serialized)) return null;
  const { optimizer, optimizer_config = optimizer, loss = null, metrics = null } = serialized;
  const { loss_weights: lossWeights = null, weighted_metrics: weightedMetrics = null } = serialized;
  const config = { optimizer: optimizer_config ?? null, loss, lossWeights, metrics, weightedMetrics };
  return Object.values(config).every((value) => value === null) ? null : config;
}
