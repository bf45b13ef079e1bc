import { basename, dirname, isAbsolute, join } from 'node:path';
import { didYouMean } from '../../shared/util/suggest.ts';

/** Formats in which a trained model is written. */
export const EXPORT_FORMATS = ['keras', 'onnx', 'safetensors', 'savedmodel'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** File to write, or the folder of a SavedModel. */
export interface ExportTarget {
  readonly format: ExportFormat;
  readonly file: string;
}

/** Names of files in the folder of a run. */
const STANDARD_NAMES: Readonly<Record<ExportFormat, string>> = {
  keras: 'model.keras',
  onnx: 'model.onnx',
  safetensors: 'model.safetensors',
  savedmodel: 'saved_model',
};

const isFormat = (name: string): name is ExportFormat => (EXPORT_FORMATS as readonly string[]).includes(name);

/** Format by the end of a file's name, or null. A SavedModel is a folder: saved_model, or a name that ends in .savedmodel. */
function formatOf(file: string): ExportFormat | null {
  const name = basename(file).toLowerCase();
  const ending = /\.([^.]*)$/.exec(name)?.[1] ?? name;
  return name === 'saved_model' ? 'savedmodel' : isFormat(ending) && name !== ending ? ending : null;
}

const LIST = `${EXPORT_FORMATS.slice(0, -1).join(', ')} or ${EXPORT_FORMATS.at(-1) ?? ''}`;

/**
 * Target of an export.
 * @param file name; without one, the file gets its standard name in the folder
 * @param dir folder of the run
 * @throws Error with a sentence if the format is unknown, or the file's name is that of another format
 * @example
 * chooseTarget({ file: 'model.onnx' }, 'runs/2026-01-31-k3v9qd'); // { format: 'onnx', file: 'model.onnx' }
 */
export function chooseTarget(
  { format, file }: { readonly format?: string | undefined; readonly file?: string | undefined },
  dir: string,
): ExportTarget {
  if (format !== undefined && !isFormat(format))
    throw new Error(
      `A model cannot be written as ${format}.${didYouMean(format, EXPORT_FORMATS)} The formats are ${LIST}.`,
    );
  if (file === undefined) {
    if (format === undefined)
      throw new Error(`Name the format with --format: ${LIST}. A file such as --out model.onnx says it too.`);
    return { format, file: join(dir, STANDARD_NAMES[format]) };
  }
  const found = formatOf(file);
  const chosen = format ?? found;
  if (chosen === null) throw new Error(`The name ${file} does not say its format. Add --format: ${LIST}.`);
  if (chosen === 'keras' && found !== 'keras')
    throw new Error(`${file} does not end in .keras, so Keras would not load it. Use another name.`);
  if (found !== null && found !== chosen)
    throw new Error(
      `${file} is the name of another format than ${chosen}. Use another name, or leave out --format.`,
    );
  return { format: chosen, file };
}

/**
 * Target of `--export` of a run: a format, or a file. A name without a folder is one in the run's folder.
 * @throws Error with a sentence if it is neither
 * @example
 * runTarget('onnx', 'runs/2026-01-31-k3v9qd').file; // 'runs/2026-01-31-k3v9qd/model.onnx'
 */
export function runTarget(name: string, dir: string): ExportTarget {
  if (isFormat(name)) return chooseTarget({ format: name }, dir);
  if (formatOf(name) === null)
    throw new Error(
      `--export ${name} is neither a format nor the name of a file with one.${didYouMean(name, EXPORT_FORMATS)} The formats are ${LIST}.`,
    );
  const isPlain = !isAbsolute(name) && dirname(name) === '.' && !name.startsWith('.');
  return chooseTarget({ file: isPlain ? join(dir, name) : name }, dir);
}
