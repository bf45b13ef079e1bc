import { isAbsolute, join, normalize } from 'node:path';
import * as v from 'valibot';
import type { LayoutEntry } from '../../shared/model/job.ts';
import { layoutOf, sizeOf } from '../../shared/model/layout.ts';
import { readRegularFile } from '../files/read-file.ts';

/** Tensors of a saved model, by name. */
export type NamedWeights = ReadonlyMap<
  string,
  { readonly shape: readonly number[]; readonly values: Float32Array }
>;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const manifestSchema = v.array(
  v.object({
    paths: v.array(v.string()),
    weights: v.array(
      v.object({
        name: v.string(),
        shape: v.array(count),
        dtype: v.string(),
        quantization: v.optional(v.unknown()),
      }),
    ),
  }),
);

/**
 * Reads the weights of a model.json, in the format of TensorFlow.js.
 * @param file path of the model.json, for errors
 * @param dir folder that paths in the manifest are relative to
 * @param manifest weightsManifest of the file
 * @returns null if the file names no weights
 * @throws Error with a sentence if weights are missing or not float32; training never starts from other weights silently
 */
export async function readWeights(
  file: string,
  dir: string,
  manifest: unknown,
): Promise<NamedWeights | null> {
  if (manifest === undefined || manifest === null) return null;
  const parsed = v.safeParse(manifestSchema, manifest);
  if (!parsed.success)
    throw new Error(`The weightsManifest of ${file} is damaged. Remove it to start from new weights.`);
  const tensors = new Map<string, { shape: number[]; values: Float32Array }>();
  for (const { paths, weights } of parsed.output) {
    const bytes = Buffer.concat(await Promise.all(paths.map((path) => readWeightsFile(file, dir, path))));
    let at = 0;
    for (const { name, shape, dtype, quantization } of weights) {
      if (dtype !== 'float32' || quantization !== undefined) {
        throw new Error(`${file}: the weights of ${name} are not plain float32, which is not supported.`);
      }
      const size = 4 * sizeOf(shape);
      if (at + size > bytes.length) throw new Error(`${file}: its weights end before ${name} is complete.`);
      // Copied, because a Float32Array must start at a multiple of four bytes.
      const values = new Float32Array(Uint8Array.from(bytes.subarray(at, at + size)).buffer);
      if (!values.every(Number.isFinite)) {
        throw new Error(
          `${file}: the weights of ${name} are not all finite numbers. Remove weightsManifest to start from new weights.`,
        );
      }
      tensors.set(name, { shape, values });
      at += size;
    }
  }
  return tensors.size === 0 ? null : tensors;
}

async function readWeightsFile(file: string, dir: string, path: string): Promise<Uint8Array> {
  if (isAbsolute(path) || normalize(path).startsWith('..')) {
    throw new Error(`${file} names weights outside its folder (${path}). Put them beside it.`);
  }
  return readRegularFile(join(dir, path)).catch((error: unknown) => {
    throw new Error(
      `${file} names weights in ${path}, which cannot be read. Put them beside it, or remove weightsManifest to start from new weights.`,
      { cause: error },
    );
  });
}

/**
 * Fills a flat vector with weights by name.
 * @param names names of the model's tensors
 * @param shapes shapes of the model's tensors
 * @throws Error if a tensor is missing or has another shape
 */
export function fillWeights(
  target: Float32Array,
  names: readonly string[],
  shapes: readonly (readonly number[])[],
  weights: NamedWeights,
): void {
  let at = 0;
  names.forEach((name, i) => {
    const shape = shapes[i] ?? [];
    const found = weights.get(name);
    if (found === undefined || String(found.shape) !== String(shape)) {
      const actual = found === undefined ? 'are missing' : `are [${found.shape.join(', ')}]`;
      throw new Error(
        `The model file's weights do not fit its topology: ${name} is [${shape.join(', ')}], its weights ${actual}. ` +
          'Use weights of this very model, or its topology alone (model.to_json()) to start from new weights.',
      );
    }
    target.set(found.values, at);
    at += found.values.length;
  });
}

/** Tensors of a flat vector by name, without a copy. @param names names of the tensors, in the order of the layout */
export function nameWeights(
  weights: Float32Array,
  names: readonly string[],
  layout: readonly LayoutEntry[],
): NamedWeights {
  return new Map(
    layoutOf(layout).slices.map(({ shape, offset, size }, i) => [
      names[i] ?? '',
      { shape, values: weights.subarray(offset, offset + size) },
    ]),
  );
}
