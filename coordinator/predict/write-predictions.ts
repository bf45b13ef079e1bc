import { openGrowingFile } from '../files/write-file.ts';
import type { SampleSource } from './inputs.ts';
import { mostLikely, type OutputReader } from './output-reader.ts';
import type { PredictedBatch } from './predict-batches.ts';

/** Writer of all predictions to a file. */
export interface PredictionFile {
  write(batch: PredictedBatch): Promise<void>;
  /** Gives the file its name. */
  complete(): Promise<void>;
  /** Removes an incomplete file. */
  abandon(): Promise<void>;
}

/** Characters that are written at once, since rows can be long. */
const MAX_BLOCK = 2 ** 20;

/**
 * Checks that predictions can be written to a file of this name.
 * @throws Error with a sentence if its format has no room for them
 */
export function checkPredictionFile(file: string, readers: readonly OutputReader[]): void {
  const isCsv = /\.csv$/i.test(file);
  if (!isCsv && !/\.npy$/i.test(file))
    throw new Error(`${file}: predictions are written as .csv or .npy. Give the file one of these endings.`);
  if (!isCsv && readers.length > 1) {
    throw new Error(
      `${file}: a .npy file has one array, and the model has ${readers.length} outputs. Use a .csv file.`,
    );
  }
}

/**
 * Opens a file for predictions: CSV with a row for each sample, or the first output as an array of NumPy. An existing file is
 * replaced when the new one is complete.
 * @throws Error with a sentence that names the file and the reason
 */
export async function openPredictionFile(
  file: string,
  source: Pick<SampleSource, 'count' | 'place'>,
  readers: readonly OutputReader[],
): Promise<PredictionFile> {
  checkPredictionFile(file, readers);
  const { append, complete, abandon } = await openGrowingFile(file);
  if (/\.npy$/i.test(file)) {
    await append(npyHeader([source.count, ...(readers[0]?.shape ?? [])]));
    const write = ({ outputs: [values = new Float32Array(0)] }: PredictedBatch): Promise<void> =>
      append(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return { write, complete, abandon };
  }
  await append(csvRow(['file', 'row', ...readers.flatMap((reader) => columnNames(reader, readers))]));
  return {
    async write({ from, samples, outputs }) {
      let rows = '';
      for (let i = 0; i < samples; i++) {
        const { file: path, row, sample } = source.place(from + i);
        const fields = readers.flatMap((reader, output) => {
          const { size } = reader;
          return fieldsOf(reader, (outputs[output] as Float32Array).subarray(i * size, (i + 1) * size));
        });
        rows += csvRow([path, String(row ?? sample ?? ''), ...fields]);
        if (rows.length < MAX_BLOCK) continue;
        await append(rows);
        rows = '';
      }
      await append(rows);
    },
    complete,
    abandon,
  };
}

/** Header of a .npy file of version 1 with little-endian float32. */
export function npyHeader(dimensions: readonly number[]): Uint8Array {
  const shape = dimensions.length === 1 ? `${dimensions[0]},` : dimensions.join(', ');
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape}), }`;
  // The data begins at a multiple of 64 bytes.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, length & 0xff, length >> 8]);
  return Buffer.concat([start, Buffer.from(`${text.padEnd(length - 1)}\n`, 'latin1')]);
}

/** Columns of an output: a class, its probability and those of all classes; or values. */
function columnNames(
  { name, classNames, valueNames, size }: OutputReader,
  { length }: readonly OutputReader[],
): string[] {
  if (classNames !== null) {
    const prefix = length === 1 ? '' : `${name}_`;
    return [name, `${prefix}probability`, ...classNames.map((label) => `${prefix}p_${label}`)];
  }
  if (valueNames !== null) return [...valueNames];
  return size === 1 ? [name] : Array.from({ length: size }, (_, i) => `${name}_${i}`);
}

function fieldsOf(reader: OutputReader, values: Float32Array): string[] {
  const { classNames } = reader;
  if (classNames === null) return Array.from(values, String);
  const { probabilities } = reader.read(values);
  // Scores that are no probabilities, such as those of a hinge loss, have no class.
  if (probabilities === null) return ['', '', ...classNames.map((_, i) => String(values[i] ?? ''))];
  const best = mostLikely(probabilities);
  return [classNames[best] ?? String(best), String(probabilities[best]), ...probabilities.map(String)];
}

/** Fields of a line of CSV; those with a delimiter, a quote or a line break are quoted. */
export const csvRow = (fields: readonly string[]): string =>
  `${fields.map((field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(',')}\n`;
