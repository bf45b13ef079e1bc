import * as v from 'valibot';
import { errorMessage } from '../util/error-message.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';
import { receivedJobWithoutTopology, type Job } from './job.ts';
import { layoutOf } from './layout.ts';
import { upgradeJob } from './stored-job.ts';

/** Metadata of a saved model. */
const metadataFields = v.object({
  /** Version of gradcast that wrote it. */
  gradcast: v.string(),
  /** One sentence about the data: contents and source. */
  dataDescription: v.string(),
  /** Number of finished epochs. */
  epochs: v.number(),
  val_loss: v.nullable(v.number()),
  /** Names of the classes of the first target. */
  classNames: v.optional(v.array(v.pipe(v.string(), v.transform(sanitizeForTerminal)))),
  /** Job without the topology, which model.json contains as modelTopology. */
  job: v.pipe(v.unknown(), v.transform(upgradeJob), receivedJobWithoutTopology),
});
/** Metadata with the metrics of the test data by name: `val_accuracy`. */
export type ModelMetadata = v.InferOutput<typeof metadataFields> & Readonly<Record<string, unknown>>;
const metadataSchema = v.pipe(
  v.objectWithRest(metadataFields.entries, v.unknown()),
  v.transform((metadata): ModelMetadata => metadata),
);

const modelJsonSchema = v.object({
  modelTopology: v.record(v.string(), v.unknown()),
  weightsManifest: v.array(v.object({ paths: v.array(v.string()) })),
  userDefinedMetadata: metadataSchema,
});

export interface SavedModel {
  readonly job: Job;
  readonly metadata: ModelMetadata;
  /** Names of the files that contain the weights, in order. */
  readonly weightFiles: readonly string[];
}

/**
 * Contents of model.json in the format of tfjs-layers, so that tf.loadLayersModel reads it.
 * @param names of the tensors, in the order of the job's layout
 */
export function describeModel(
  metadata: ModelMetadata,
  topology: Job['topology'],
  names: readonly string[],
  weightsFile: string,
): object {
  const weights = metadata.job.layout.map(({ shape }, i) => ({ name: names[i], shape, dtype: 'float32' }));
  return {
    format: 'layers-model',
    generatedBy: `gradcast ${metadata.gradcast}`,
    convertedBy: null,
    modelTopology: topology,
    weightsManifest: [{ paths: [weightsFile], weights }],
    userDefinedMetadata: metadata,
  };
}

/** Saved model with its weights. */
export interface LoadedModel extends SavedModel {
  /** The flat vector. */
  readonly weights: Float32Array;
}

/** Access to the files of a folder. */
export interface FolderReader {
  readonly text: (file: string) => Promise<string>;
  readonly bytes: (file: string) => Promise<Uint8Array>;
}

/**
 * Reads a saved model from its folder or from the folder of a run.
 * @param dir name of the folder, for the error
 * @throws Error with a sentence that names the folder and what to do
 */
export async function readModel(dir: string, files: FolderReader): Promise<LoadedModel> {
  try {
    const { json, folder } = await readModelJson(files);
    const model = parseModel(JSON.parse(json));
    const parts = await Promise.all(model.weightFiles.map((file) => files.bytes(`${folder}${file}`)));
    return { ...model, weights: parseWeights(parts, model.job) };
  } catch (error) {
    const reason = errorMessage(error).replace(/[^.!?]$/, '$&.');
    throw new Error(`No gradcast model in ${dir}: ${reason} Name the folder of a run, or model/ in it.`, {
      cause: error,
    });
  }
}

async function readModelJson({ text }: FolderReader): Promise<{ json: string; folder: string }> {
  try {
    return { json: await text('model.json'), folder: '' };
  } catch (error) {
    const json = await text('model/model.json').catch(() => null);
    // The error for the named folder is more helpful.
    if (json === null) throw error;
    return { json, folder: 'model/' };
  }
}

/**
 * Parses the contents of model.json that describeModel() wrote.
 * @throws Error if the contents are invalid
 */
export function parseModel(json: unknown): SavedModel {
  const {
    modelTopology: topology,
    weightsManifest,
    userDefinedMetadata: metadata,
  } = v.parse(modelJsonSchema, json);
  return {
    job: { topology, ...metadata.job },
    metadata,
    weightFiles: weightsManifest.flatMap(({ paths }) => paths),
  };
}

/**
 * Flat vector from the contents of the weight files.
 * @throws Error if the number of bytes does not match the layout
 */
export function parseWeights(parts: readonly Uint8Array[], { layout }: Job): Float32Array {
  const expected = 4 * layoutOf(layout).length;
  const found = parts.reduce((sum, part) => sum + part.length, 0);
  if (found !== expected) throw new Error(`The weights have ${found} bytes; the model needs ${expected}.`);
  const bytes = new Uint8Array(expected);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return new Float32Array(bytes.buffer);
}
