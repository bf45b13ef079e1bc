import { DataError } from '../../shared/data/data-error.ts';
import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { DataOptions } from './data-options.ts';

// Which options of the command line which data has a use for. An option that cannot be honoured is refused by its name.

/** Options about the contents of data. Its format and parts are chosen before these. */
export type ContentOptions = Omit<
  DataOptions,
  'source' | 'format' | 'test' | 'validationSplit' | 'limit' | 'seed'
>;
type ContentOption = keyof ContentOptions;

/** Kinds of data, in errors after the name of the source. */
const KINDS = {
  folder: 'is a folder of images',
  cifar: 'has data of CIFAR',
  idx: 'has IDX files',
  named: 'is a data set with a name of its own',
  pixels: 'is a table of pixels',
  table: 'is a table of numbers and categories',
  textTable: 'is a table',
  nested: 'has images or lists in Parquet',
  arrays: 'has arrays',
  text: 'is text',
} as const;
export type SourceKind = keyof typeof KINDS;

interface Use {
  readonly flag: string;
  /** Data that has a use for it, in errors. */
  readonly purpose: string;
  readonly kinds: readonly SourceKind[];
}

const IMAGES = 'folders of images, one folder a class, and images in Parquet';
const TABLES = 'tables with names of columns';
const TEXTS = 'text, and tables whose only input is a column of text';

/** The kinds of data that have a use for each option. */
const USES: Readonly<Record<ContentOption, Use>> = {
  imageSize: { flag: '--image-size', purpose: IMAGES, kinds: ['folder', 'nested'] },
  channels: { flag: '--channels', purpose: IMAGES, kinds: ['folder', 'nested'] },
  fit: { flag: '--fit', purpose: IMAGES, kinds: ['folder', 'nested'] },
  target: { flag: '--target', purpose: TABLES, kinds: ['table', 'textTable', 'nested', 'pixels'] },
  ignore: { flag: '--ignore', purpose: TABLES, kinds: ['table', 'textTable', 'nested'] },
  types: {
    flag: '--types',
    purpose: `${TABLES}, and for the targets of arrays`,
    kinds: ['table', 'textTable', 'nested', 'arrays'],
  },
  tokenizer: { flag: '--tokenizer', purpose: TEXTS, kinds: ['text', 'textTable'] },
  sequenceLength: { flag: '--sequence-length', purpose: TEXTS, kinds: ['text', 'textTable'] },
  transpose: {
    flag: '--transpose',
    purpose: 'images',
    kinds: ['folder', 'cifar', 'idx', 'named', 'pixels', 'nested', 'arrays'],
  },
};
const NAMES = Object.keys(USES) as ContentOption[];

/**
 * Options for data of a kind: those given, and where nothing is given those of the model's training that the data has a use for.
 * @param source path or name of the data, for errors
 * @throws DataError that names an option that is given and has no use
 * @example
 * ```ts
 * applicableOptions('text', 'fox.txt', { target: 'species' }); // throws: --target is for tables with names of columns; ...
 * ```
 */
export function applicableOptions<
  Options extends ContentOptions & { readonly trainedWith?: ContentOptions | undefined },
>(kind: SourceKind, source: string, options: Options): Options {
  const inherited: Partial<Record<ContentOption, unknown>> = {};
  for (const name of NAMES) {
    const { flag, purpose, kinds } = USES[name];
    if (kinds.includes(kind)) {
      inherited[name] = options[name] ?? options.trainedWith?.[name];
    } else if (options[name] !== undefined && options[name] !== false) {
      throw new DataError(
        `${flag} is for ${purpose}; ${sanitizeForTerminal(source)} ${KINDS[kind]}. Leave it out, or ${kind === 'named' ? 'name other --data' : 'choose another --format'}.`,
      );
    }
  }
  return { ...options, ...inherited };
}

/** @throws DataError if an option of images is given for data that turned out to have none */
export function refuseImageOptions(source: string, options: ContentOptions): void {
  const given = (['imageSize', 'channels', 'fit'] as const).find((name) => options[name] !== undefined);
  if (given === undefined) return;
  throw new DataError(
    `${USES[given].flag} is for ${IMAGES}; ${sanitizeForTerminal(source)} has no images. Leave it out.`,
  );
}

/** Options that a saved model has from its training, so that data is not asked for them. */
function ownOptions(preprocessing: Preprocessing): readonly ContentOption[] {
  if (preprocessing.kind === 'image') return ['imageSize', 'channels', 'fit'];
  const ofText: ContentOption[] = ['tokenizer', 'sequenceLength'];
  return preprocessing.kind === 'text' && preprocessing.column === undefined
    ? ofText
    : ['target', 'ignore', 'types', ...ofText];
}

/** Options of a model's training without those that the model has itself. */
export function withoutOwnOptions(
  trainedWith: ContentOptions,
  preprocessing: Preprocessing | undefined,
): ContentOptions {
  if (preprocessing === undefined) return trainedWith;
  const own: readonly string[] = ownOptions(preprocessing);
  return Object.fromEntries(Object.entries(trainedWith).filter(([name]) => !own.includes(name)));
}

/**
 * Checks that options do not say otherwise than the model that is measured.
 * @throws DataError that names the option
 */
export function refuseOtherOptions(options: ContentOptions, preprocessing: Preprocessing): void {
  for (const name of ownOptions(preprocessing)) {
    if (options[name] === undefined) continue;
    const other = describeDifference(name, options, preprocessing);
    if (other === null) continue;
    throw new DataError(
      `${USES[name].flag} differs from the training of the model, by which new data is read (${other}). Leave it out.`,
    );
  }
}

/** Setting of the model, '28x28'; null if the option says the same. */
function describeDifference(
  name: ContentOption,
  { imageSize, channels, fit, target, ignore, types, sequenceLength }: ContentOptions,
  preprocessing: Preprocessing,
): string | null {
  const compare = (own: string, given: string): string | null =>
    own === given ? null : sanitizeForTerminal(own);
  if (preprocessing.kind === 'image') {
    if (name === 'channels') return compare(String(preprocessing.channels), String(channels));
    if (name === 'fit') return compare(preprocessing.fit, String(fit));
    return compare(preprocessing.size.join('x'), imageSize?.join('x') ?? '');
  }
  const { targets = [] } = preprocessing;
  const columns =
    preprocessing.kind === 'table'
      ? preprocessing.columns
      : [{ name: preprocessing.column ?? '', type: 'category' as const }];
  switch (name) {
    case 'tokenizer':
      return 'it has its own';
    case 'target':
      return compare(targets.map((each) => each.name).join(), [target].flat().join());
    case 'ignore': {
      const used = [...columns, ...targets].find((each) => ignore?.includes(each.name) === true);
      return used === undefined ? null : `it takes ${sanitizeForTerminal(used.name)}`;
    }
    case 'types': {
      const other = [...columns, ...targets].find((each) => (types?.[each.name] ?? each.type) !== each.type);
      return other === undefined ? null : `${sanitizeForTerminal(other.name)}:${other.type}`;
    }
    case 'sequenceLength':
      return preprocessing.kind === 'text'
        ? compare(String(preprocessing.length), String(sequenceLength))
        : 'it takes no text';
    case 'imageSize':
    case 'channels':
    case 'fit':
    case 'transpose':
      return null;
  }
}
