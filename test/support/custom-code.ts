import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { prepareJob, type JobSettings, type PreparedJob } from '../../coordinator/model/model.ts';
import { openBundle, readCustomFile } from '../../coordinator/task/custom-bundle.ts';
import type { CustomBundle } from '../../shared/engine/custom-objects.ts';
import type { Dataset, Split } from '../../shared/data/dataset.ts';
import type { Topology } from '../../shared/model/job.ts';
import { lowbias32 } from './hashed-values.ts';

const example = (file: string): string =>
  fileURLToPath(new URL(`../../examples/custom-layer/${file}`, import.meta.url));

/** The custom code of examples/custom-layer. */
export const exampleFile = example('custom.js');
export const exampleBundle = (): Promise<CustomBundle> => readCustomFile(exampleFile);
export const exampleTopology = JSON.parse(readFileSync(example('model.json'), 'utf8')) as Topology;

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Bundle of a text, as a coordinator has it. */
export function bundleOf(text: string): Promise<CustomBundle> {
  const bytes = new TextEncoder().encode(text);
  return openBundle({ hash: sha256(bytes), bytes });
}

/** Numbers from -1 to 1, as test/reference/keras_custom.py has them. */
const uniform = (length: number, start: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => 2 * (lowbias32(i + start) / 2 ** 32) - 1);

const split = (count: number): Split => ({
  inputs: [uniform(3 * count, 501)],
  targets: [uniform(count, 901)],
  count,
});

/** Samples with three inputs and a value. */
export const threeInputs: Dataset = {
  name: 'made',
  description: '',
  inputs: [{ name: 'x', shape: [3], dtype: 'float32' }],
  targets: [{ name: 'y', shape: [1], dtype: 'float32' }],
  train: split(96),
  test: split(7),
};

/** The job of examples/custom-layer, for made samples. */
export async function exampleJob(
  settings: Partial<JobSettings> = {},
): Promise<PreparedJob & { readonly custom: CustomBundle }> {
  const custom = settings.custom ?? (await exampleBundle());
  const prepared = await prepareJob(threeInputs, {
    batchSize: 24,
    epochs: 2,
    seed: 5,
    topology: exampleTopology,
    loss: 'asymmetricError',
    metrics: ['withinHalf', 'mae'],
    optimizer: { name: 'adam' },
    ...settings,
    custom,
  });
  return { ...prepared, custom };
}
