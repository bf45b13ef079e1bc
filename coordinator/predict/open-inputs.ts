import { stat } from 'node:fs/promises';
import { DataError } from '../../shared/data/data-error.ts';
import { createTensor, type TensorValues } from '../../shared/model/tensors.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { openRegularFile } from '../files/read-file.ts';
import { plainFile, readError, type DataFile } from '../data/data-file.ts';
import type { DataReporter } from '../data/data-reporter.ts';
import type { TableFormat } from '../data/file-names.ts';
import { findTables, formatOfFile, type TableFiles } from '../data/find-tables.ts';
import { detectImageType, hasImageName, TYPE_BYTES } from '../data/images/image-type.ts';
import { readAllText } from '../data/load-text.ts';
import { encodeTexts } from '../data/text/text-dataset.ts';
import { openTokenizer } from '../data/text/tokenizer.ts';
import { openContents } from '../data/unpack.ts';
import { arrayInputs } from './array-inputs.ts';
import { imageInputs, imagesInFolder } from './image-inputs.ts';
import { otherKindError, type PredictingModel, type SampleSource } from './inputs.ts';
import { parquetInputs } from './parquet-inputs.ts';
import { pixelInputs, takesPixels } from './pixel-inputs.ts';
import { tableInputs } from './table-inputs.ts';

/** Input of the command line by its kind. */
type Found =
  | { readonly kind: 'images'; readonly files: readonly string[] }
  | { readonly kind: 'tables'; readonly files: TableFiles }
  | { readonly kind: 'idx'; readonly file: DataFile };

/**
 * Opens files, folders of images and texts as samples of a model, in their order.
 * @param texts texts of the command line
 * @throws DataError with a sentence that names the file and what was expected
 */
export async function openInputs(
  paths: readonly string[],
  texts: readonly string[],
  model: PredictingModel,
  report: DataReporter,
): Promise<SampleSource> {
  const found: Found[] = [];
  for (const path of paths) found.push(await detect(path));
  const sources: SampleSource[] = [];
  for (const part of joinImages(found)) sources.push(await open(part, model, report));
  if (texts.length > 0) {
    sources.push(
      await textInputs(
        texts.map((text) => ({ place: quoteStart(text), text })),
        model,
      ),
    );
  }
  return concatenate(sources, model);
}

/** @throws DataError if the path cannot be read, or is of no kind that is predicted */
async function detect(path: string): Promise<Found> {
  const shown = sanitizeForTerminal(path);
  const stats = await stat(path).catch((error: unknown) => {
    throw new DataError(`${shown}: ${describeDiskError(error)}. Check the path.`, { cause: error });
  });
  if (stats.isDirectory()) return { kind: 'images', files: await imagesInFolder(path) };
  if (hasImageName(path) || (await hasImageContents(path))) return { kind: 'images', files: [path] };
  const file = plainFile(path, path, stats.size);
  const named = await formatOfFile(path, stats.size);
  const tables = (format: TableFormat): Found => ({
    kind: 'tables',
    files: { format, train: [file], test: null, unused: [] },
  });
  if (named !== null) return tables(named);
  if (/\.zip$/i.test(path)) {
    const files = await findTables(path, undefined, 'the command line', true);
    if (files !== null) return { kind: 'tables', files };
  }
  const { content, close } = await openContents(file);
  await close();
  if (content.kind === 'idx') return { kind: 'idx', file };
  if (content.kind === 'csv') return tables('csv');
  throw new DataError(
    `${shown}: expected an image, a folder of images, CSV, TSV, Parquet, .npy, .npz, IDX or text, found ${content.kind === 'other' ? content.found : 'an empty file'}. Name one of these.`,
  );
}

async function hasImageContents(path: string): Promise<boolean> {
  const head = Buffer.alloc(TYPE_BYTES);
  const file = await openRegularFile(path).catch((error: unknown) => {
    throw readError(path, error);
  });
  try {
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return detectImageType(head.subarray(0, bytesRead)) !== null;
  } finally {
    await file.close();
  }
}

/** Neighboring images become one source, so that they share batches. */
function joinImages(found: readonly Found[]): Found[] {
  const joined: Found[] = [];
  for (const part of found) {
    const last = joined.at(-1);
    if (part.kind === 'images' && last?.kind === 'images')
      joined[joined.length - 1] = { kind: 'images', files: [...last.files, ...part.files] };
    else joined.push(part);
  }
  return joined;
}

async function open(part: Found, model: PredictingModel, report: DataReporter): Promise<SampleSource> {
  if (part.kind === 'images') return imageInputs(part.files, model, report);
  if (part.kind === 'idx') return pixelInputs(part.file, model, report);
  const { format, train } = part.files;
  switch (format) {
    case 'npy':
    case 'npz':
      return arrayInputs(part.files, model);
    case 'text': {
      const texts = await Promise.all(
        train.map(async (file) => ({ place: file.path, text: await readAllText([file]) })),
      );
      return textInputs(texts, model);
    }
    case 'csv': {
      const [file, ...others] = train;
      const arePixels = takesPixels(model) && file !== undefined && others.length === 0;
      return arePixels ? pixelInputs(file, model, report) : tableInputs(part.files, model, report);
    }
    case 'tsv':
      return tableInputs(part.files, model, report);
    case 'parquet': {
      const { preprocessing } = model.metadata;
      const isTable = preprocessing?.kind === 'table' || preprocessing?.kind === 'text';
      return isTable ? tableInputs(part.files, model, report) : parquetInputs(part.files, model);
    }
  }
}

interface PlacedText {
  /** Path, or the beginning of a text of the command line. */
  readonly place: string;
  readonly text: string;
}

/** Texts as samples of a model that was trained on a column of text. @throws DataError if the model takes none */
async function textInputs(texts: readonly PlacedText[], model: PredictingModel): Promise<SampleSource> {
  const { preprocessing } = model.metadata;
  if (preprocessing?.kind !== 'text') {
    throw otherKindError(`${texts[0]?.place ?? ''} is text`, model);
  }
  const encoder = await openTokenizer(preprocessing.tokenizer);
  return {
    count: texts.length,
    place: (number) => ({ file: texts[number]?.place ?? '' }),
    read(from, to) {
      const part = texts.slice(from, to).map(({ text }) => text);
      return Promise.resolve([encodeTexts(part, part.length, preprocessing.length, encoder)]);
    },
  };
}

const MAX_SHOWN = 40;

const quoteStart = (text: string): string =>
  `"${sanitizeForTerminal(text.slice(0, MAX_SHOWN))}${text.length > MAX_SHOWN ? '...' : ''}"`;

/** Sources one after the other. */
function concatenate(sources: readonly SampleSource[], { job }: PredictingModel): SampleSource {
  const [only, ...others] = sources;
  if (only !== undefined && others.length === 0) return only;
  const starts: number[] = [];
  let count = 0;
  for (const source of sources) {
    starts.push(count);
    count += source.count;
  }
  const at = (number: number): { source: SampleSource; start: number } => {
    const index = starts.findLastIndex((start) => start <= number);
    return { source: sources[index] as SampleSource, start: starts[index] ?? 0 };
  };
  return {
    count,
    place(number) {
      const { source, start } = at(number);
      return source.place(number - start);
    },
    async read(from, to) {
      const parts: (readonly TensorValues[])[] = [];
      for (let next = from; next < to;) {
        const { source, start } = at(next);
        const end = Math.min(to, start + source.count);
        parts.push(await source.read(next - start, end - start));
        next = end;
      }
      return job.inputs.map((input, i) => {
        const values = parts.map((part) => part[i] ?? createTensor(input, 0));
        const joined = createTensor(
          input,
          values.reduce((sum, { length }) => sum + length, 0),
        );
        let at = 0;
        for (const part of values) {
          joined.set(part, at);
          at += part.length;
        }
        return joined;
      });
    },
  };
}
