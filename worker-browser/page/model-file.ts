import { zipSync } from 'fflate';
import { float32 } from '../../shared/codec/float32.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import { describeModel } from '../../shared/model/saved-model.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';

const WEIGHTS_FILE = 'weights.bin';
const NOTE = `A model that was trained with gradcast.

Unpack the archive into a folder. Then:
- in Node and browsers: tf.loadLayersModel('.../model.json') of TensorFlow.js
- on a command line: gradcast predict FOLDER, or gradcast export FOLDER for Keras, ONNX and others
`;

/** A model that a page can offer as a file. */
export interface OfferedModel {
  readonly job: Job;
  /** Names of the tensors, in the order of the layout. */
  readonly names: readonly string[];
  /** The flat vector in float32, as the coordinator sends it. */
  readonly weights: Uint8Array;
  readonly classNames: readonly string[];
  readonly epochs: readonly EpochRecord[];
}

/** Whether a file can be made: custom code, which the file would need, does not travel with it. */
export const canOffer = (job: Job, names: readonly string[]): boolean =>
  job.customCode === undefined && names.length === job.layout.length;

/**
 * Archive of a model in the format of tfjs-layers, as `gradcast train` writes it.
 * @param version of gradcast
 * @throws Error if the weights do not fit the job
 */
export function zipModel(model: OfferedModel, version: string): Uint8Array<ArrayBuffer> {
  const { job, names, weights, classNames, epochs } = model;
  const { topology, ...described } = job;
  if (weights.length !== float32.bytes(layoutOf(job.layout).length)) {
    throw new Error('The weights are those of another model.');
  }
  const last = epochs.at(-1);
  const scores = Object.fromEntries(Object.entries(last ?? {}).filter(([name]) => name.startsWith('val_')));
  const description = describeModel(
    {
      ...scores,
      gradcast: version,
      dataDescription: job.data.name,
      epochs: epochs.length,
      val_loss: last?.val_loss ?? null,
      ...(classNames.length === 0 ? {} : { classNames: [...classNames] }),
      job: described,
    },
    topology,
    names,
    WEIGHTS_FILE,
  );
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  return zipSync(
    {
      'model.json': text(`${JSON.stringify(description, null, 2)}\n`),
      [WEIGHTS_FILE]: weights,
      'README.txt': text(NOTE),
    },
    // Weights hardly get smaller.
    { level: 0 },
  );
}

/** Name of the archive: letters, digits and dashes of the data's name. */
export const modelFileName = ({ data }: Pick<Job, 'data'>): string =>
  `${data.name.replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 60) || 'model'}-model.zip`;
