import * as v from 'valibot';
import { errorMessage } from '../util/error-message.ts';
import { jobSchema, type Job } from './job.ts';
import { layoutOf } from './layout.ts';

/** What is known of a saved model besides its weights. */
const metadataSchema = v.object({
  /** Version of gradcast that wrote it. */
  gradcast: v.string(),
  /** One sentence about the data: what, and from where. */
  dataDescription: v.string(),
  /** Epochs that were finished. */
  epochs: v.number(),
  val_loss: v.nullable(v.number()),
  val_accuracy: v.nullable(v.number()),
  /** The topology stands beside it. */
  job: v.omit(jobSchema, ['topology']),
});
export type ModelMetadata = v.InferOutput<typeof metadataSchema>;

const modelJsonSchema = v.object({
  modelTopology: v.record(v.string(), v.unknown()),
  weightsManifest: v.array(v.object({ paths: v.array(v.string()) })),
  userDefinedMetadata: metadataSchema,
});

export interface SavedModel {
  readonly job: Job;
  readonly metadata: ModelMetadata;
  /** Names of the files that hold the weights, one behind the other. */
  readonly weightFiles: readonly string[];
}

/**
 * What model.json holds, in the format of tfjs-layers, so that tf.loadLayersModel reads it.
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

/** A model as it was read back. */
export interface LoadedModel extends SavedModel {
  /** The flat vector. */
  readonly weights: Float32Array;
}

/** How the files in a folder are read. */
export interface FolderReader {
  readonly text: (file: string) => Promise<string>;
  readonly bytes: (file: string) => Promise<Uint8Array>;
}

/**
 * Reads a saved model, also where the run is named that made it.
 * @param dir what the folder is called, for the error
 * @throws Error with a sentence that names the folder and what to do
 */
export async function readModel(dir: string, files: FolderReader): Promise<LoadedModel> {
  try {
    const { json, folder } = await readModelJson(files);
    const model = parseModel(JSON.parse(json));
    const parts = await Promise.all(model.weightFiles.map((file) => files.bytes(`${folder}${file}`)));
    return { ...model, weights: parseWeights(parts, model.job) };
  } catch (error) {
    const why = errorMessage(error).replace(/[^.!?]$/, '$&.');
    throw new Error(`No gradcast model in ${dir}: ${why} Name the folder of a run, or model/ in it.`, {
      cause: error,
    });
  }
}

async function readModelJson({ text }: FolderReader): Promise<{ json: string; folder: string }> {
  try {
    return { json: await text('model.json'), folder: '' };
  } catch (error) {
    const json = await text('model/model.json').catch(() => null);
    // That of the folder that was named says more.
    if (json === null) throw error;
    return { json, folder: 'model/' };
  }
}

/**
 * Reads what describeModel made.
 * @throws Error if it is anything else
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
 * The flat vector out of the contents of the weight files.
 * @throws Error if there are more or fewer bytes than the layout needs
 */
export function parseWeights(parts: readonly Uint8Array[], { layout }: Job): Float32Array {
  const expected = 4 * layoutOf(layout).length;
  const found = parts.reduce((sum, part) => sum + part.length, 0);
  if (found !== expected) throw new Error(`The weights have ${found} bytes; the model needs ${expected}.`);
  const bytes = new Uint8Array(expected);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return new Float32Array(bytes.buffer);
}
