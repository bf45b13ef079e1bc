import type { OutputSpec } from './outputs.ts';
import { imageTensors } from './tensors.ts';

/** Fields of a job of version 0.1, whose samples were one image and one class. */
interface EarlyJob {
  readonly data: {
    readonly sampleShape: readonly number[];
    readonly classes: number;
    readonly scale: number;
  };
}

/**
 * Converts a stored job of version 0.1 to this version.
 * @returns any other value as it is
 */
export function upgradeJob(stored: unknown): unknown {
  if (!isEarly(stored)) return stored;
  const { sampleShape, classes, scale, ...data } = stored.data;
  const { inputs, targets } = imageTensors(sampleShape, classes);
  return {
    ...stored,
    inputs: inputs.map((input) => ({ ...input, scale })),
    targets,
    outputs: [classOutput('output', classes)],
    data,
  };
}

/** Output of class probabilities with the loss and the metric of a classification. */
export const classOutput = (name: string, classes: number): OutputSpec => ({
  name,
  shape: [classes],
  loss: { name: 'sparse_categorical_crossentropy' },
  metrics: [{ name: 'sparse_categorical_accuracy', label: 'accuracy' }],
});

function isEarly(stored: unknown): stored is EarlyJob {
  const { data, inputs } = (stored ?? {}) as { readonly data?: unknown; readonly inputs?: unknown };
  const { sampleShape } = (data ?? {}) as { readonly sampleShape?: unknown };
  return inputs === undefined && Array.isArray(sampleShape);
}
