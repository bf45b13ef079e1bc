import { DataError } from '../../shared/data/data-error.ts';
import { flagName, type OptionName } from '../../shared/util/option-names.ts';
import type { DataOptions } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';

/** Settings of data, by the flags that lines and errors about data name them with. */
const KEYS: ReadonlyMap<string, keyof DataOptions> = new Map(
  (
    [
      ...([
        'source',
        'test',
        'format',
        'validationSplit',
        'limit',
        'transpose',
        'imageSize',
        'channels',
      ] as const),
      ...(['fit', 'target', 'ignore', 'types', 'tokenizer', 'sequenceLength'] as const),
    ] as const
  ).map((key) => [flagName(`data.${key}`), key]),
);

/** A flag that is no part of a path or of another word. */
const FLAG = /(?<![\w/\\.-])--[a-z]+(?:-[a-z]+)*(?![\w/\\-])/g;

/**
 * A line about data with other names of its options.
 * @param optionName receives keys such as `data.target`
 * @example
 * renameDataOptions('Name another column with --target.', keyName); // 'Name another column with data.target.'
 */
export const renameDataOptions = (line: string, optionName: OptionName): string =>
  line.replace(FLAG, (flag) => {
    const key = KEYS.get(flag);
    return key === undefined ? flag : optionName(`data.${key}`);
  });

/**
 * Opens data whose lines and errors have other names of options.
 * @param open opens the data, with a reporter for its lines
 * @throws the errors of `open`
 */
export async function withDataOptionNames<Opened>(
  optionName: OptionName,
  report: DataReporter,
  open: (report: DataReporter) => Promise<Opened>,
): Promise<Opened> {
  try {
    return await open({
      info: (line) => report.info(renameDataOptions(line, optionName)),
      warn: (line) => report.warn(renameDataOptions(line, optionName)),
      progress: (...progress) => report.progress(...progress),
    });
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const message = renameDataOptions(error.message, optionName);
    throw message === error.message ? error : new DataError(message, { cause: error });
  }
}
