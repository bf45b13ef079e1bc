import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { decodeSavedModel } from '../../coordinator/export/saved-model-messages.ts';
import type { Native } from '../../worker-node/engine/native/backend.ts';
import {
  inputValues,
  joined,
  largestDifference,
  predictOutputs,
  savedModelOf,
  TOLERANCE,
  type ExportCase,
} from './export-cases.ts';

/** Outputs that native TensorFlow computes from a SavedModel, by its signature `serving_default`. */
export function runSavedModel(native: Native, bytes: Uint8Array, each: ExportCase): Float32Array {
  const { binding } = native.backend;
  const { inputs, outputs } = decodeSavedModel(bytes).metaGraphs[0]!.signatureDef.serving_default!;
  const folder = mkdtempSync(join(tmpdir(), 'gradcast-saved-model-'));
  let session: number;
  try {
    writeFileSync(join(folder, 'saved_model.pb'), bytes);
    session = binding.loadSavedModel(folder, 'serve');
  } finally {
    rmSync(folder, { recursive: true });
  }
  const ids = inputValues(each).map((values, i) =>
    binding.createTensor([each.count, ...each.job.inputs[i]!.shape], binding.TF_FLOAT, values),
  );
  const names = (tensors: typeof inputs): string =>
    Object.values(tensors)
      .map(({ name }) => name)
      .join();
  try {
    const results = binding.runSavedModel(session, ids, names(inputs), names(outputs));
    const values = results.map(({ id }) => Float32Array.from(binding.tensorDataSync(id)));
    for (const { id } of results) binding.deleteTensor(id);
    return joined(values);
  } finally {
    for (const id of ids) binding.deleteTensor(id);
    binding.deleteSavedModel(session);
  }
}

/** Compares native TensorFlow, which runs a model as a SavedModel, with the WebAssembly engine. */
export async function compareWithNative(native: Native, each: ExportCase): Promise<void> {
  const found = runSavedModel(native, savedModelOf(each), each);
  expect(largestDifference(found, await predictOutputs(each))).toBeLessThan(TOLERANCE);
}
