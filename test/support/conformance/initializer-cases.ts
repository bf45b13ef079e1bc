import { readFileSync } from 'node:fs';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { dense } from '../functional-model.ts';
import { datasetOf } from '../keras-losses.ts';
import type { CoordinatorCase } from './coordinator-cases.ts';

/** Figures of test/reference/keras_initializers.py, whose header describes them. */
interface KerasInitializers {
  readonly fractions: readonly number[];
  readonly cases: readonly {
    readonly initializer: { readonly class_name: string; readonly config: object };
    readonly shape: readonly [number, number];
    readonly deviation: number;
    readonly quantiles: readonly number[];
  }[];
}

/** Largest difference relative to the deviation. Both kernels are samples: the quantiles of 120,000 values differ by up to 2 %. */
const QUANTILE_BOUND = 0.02;
const ORTHOGONAL_BOUND = 1e-5;

const readFigures = (): KerasInitializers =>
  JSON.parse(
    readFileSync(new URL('../../reference/keras-initializers.json', import.meta.url), 'utf8'),
  ) as KerasInitializers;

/** Kernel of a dense layer as a run would start with it. */
async function initialKernel(initializer: object, [inputs, units]: readonly [number, number]) {
  const layer = dense('y', units, 'linear', {
    batch_input_shape: [null, inputs],
    kernel_initializer: initializer,
  });
  const dataset = datasetOf(
    {
      inputs: [{ name: 'x', shape: [inputs], dtype: 'float32' }],
      targets: [{ name: 'y', shape: [units], dtype: 'float32' }],
    },
    { inputs: [new Float32Array(inputs)], targets: [new Float32Array(units)], count: 1 },
  );
  const topology = { class_name: 'Sequential', config: { name: 'm', layers: [layer] } };
  const settings = { batchSize: 1, epochs: 1, seed: 1, topology, metrics: [] };
  const { initialWeights } = await prepareJob(dataset, settings);
  return initialWeights.subarray(0, inputs * units);
}

/** Largest difference of the products of columns from those of an orthonormal matrix times `gain`. */
function orthogonalError(kernel: Float32Array, units: number, gain: number): number {
  let worst = 0;
  for (let a = 0; a < units; a++) {
    for (let b = 0; b < units; b++) {
      let product = 0;
      for (let i = 0; i < kernel.length; i += units)
        product += (kernel[i + a] ?? NaN) * (kernel[i + b] ?? NaN);
      worst = Math.max(worst, Math.abs(product / gain ** 2 - (a === b ? 1 : 0)));
    }
  }
  return worst;
}

/** Quantile of sorted values, interpolated as numpy does. */
function quantile(sorted: Float32Array, fraction: number): number {
  const at = fraction * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? NaN;
  return below + (at - Math.floor(at)) * ((sorted[Math.ceil(at)] ?? NaN) - below);
}

/** Initial kernels, whose distributions are compared with those of Keras; random numbers differ. */
export function initializerCases(): CoordinatorCase[] {
  const { fractions, cases } = readFigures();
  return cases.map(({ initializer, shape, deviation, quantiles }) => {
    const { class_name: name, config } = initializer;
    const isOrthogonal = name === 'Orthogonal';
    const covers = [`initializers.${name}`];
    const bound = isOrthogonal ? ORTHOGONAL_BOUND : QUANTILE_BOUND;
    const measure = async (): Promise<number> => {
      const kernel = await initialKernel(initializer, shape);
      if (isOrthogonal) return orthogonalError(kernel, shape[1], Number((config as { gain?: number }).gain));
      const sorted = kernel.toSorted();
      const mean = kernel.reduce((sum, value) => sum + value, 0) / kernel.length;
      const spread = Math.sqrt(kernel.reduce((sum, value) => sum + (value - mean) ** 2, 0) / kernel.length);
      const differences = quantiles.map((expected, i) =>
        Math.abs(Math.fround(expected) - quantile(sorted, fractions[i] ?? 0)),
      );
      return Math.max(Math.abs(spread - deviation), ...differences) / Math.max(deviation, 1e-3);
    };
    return { name, covers, bound, measure };
  });
}
