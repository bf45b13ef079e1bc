import { dirname } from 'node:path';
import { parse } from 'csv-parse/sync';
import { errorMessage } from '../../shared/util/error-message.ts';
import { makeFolder } from '../files/make-folder.ts';
import { readRegularFile } from '../files/read-file.ts';
import { appendLine, writeFileAtomic } from '../files/write-file.ts';
import { describeDiskError } from '../files/disk-error.ts';
import type { Callback, Logs } from './callback.ts';

/**
 * Options of {@link csvLog}.
 * @example
 * const options: CsvLogOptions = { separator: ';' };
 */
export interface CsvLogOptions {
  /** @default ',' */
  readonly separator?: string;
  /** Whether rows are added to an existing file also by a run that is not resumed. @default false */
  readonly append?: boolean;
}

const MAX_BYTES = 2 ** 28;

/**
 * Writes a row for each epoch, as Keras' CSVLogger does: columns are sorted, and epochs count from 0. A resumed run adds to the
 * file, and replaces the rows of epochs that it repeats.
 * @param path of the file, relative to the working directory
 * @example
 * const callbacks = [csvLog('history.csv')];
 */
export function csvLog(path: string, { separator = ',', append = false }: CsvLogOptions = {}): Callback {
  if (separator.length !== 1 || /["\r\n\w.-]/.test(separator))
    throw new Error(
      `The separator of csvLog must be a character such as ; and not ${JSON.stringify(separator)}.`,
    );
  let columns: readonly string[] | null = null;
  let hasFailed = false;

  const row = (values: readonly (string | number)[]): string =>
    values.map((value) => quote(String(value), separator)).join(separator);

  return {
    name: 'csvLog',
    async onTrainBegin({ epoch, isResumed }) {
      await makeFolder(dirname(path));
      columns = null;
      const [header, ...rows] = append || isResumed ? await readRows(path, separator) : [];
      if (header !== undefined) columns = header.slice(1);
      const kept = isResumed ? rows.filter(([first]) => Number(first) < epoch - 1) : rows;
      const lines = header === undefined ? [] : [header, ...kept];
      await writeFileAtomic(path, lines.map((values) => `${row(values)}\r\n`).join(''));
    },
    async onEpochEnd({ epoch, logs, warn }) {
      const own = columns ?? columnsOf(logs);
      try {
        if (columns === null) await appendLine(path, `${row(['epoch', ...own])}\r`);
        columns = own;
        await appendLine(path, `${row([epoch - 1, ...own.map((name) => logs[name] ?? 'NA')])}\r`);
        hasFailed = false;
      } catch (error) {
        // A full disk must not end the run.
        if (!hasFailed) warn(`The row of epoch ${epoch} is missing: ${errorMessage(error)}`);
        hasFailed = true;
      }
    },
  };
}

/** Columns of the first epoch. As in Keras, without values of test data those have columns nevertheless. */
function columnsOf(logs: Logs): string[] {
  const names = Object.keys(logs).sort();
  const hasTest = names.some((name) => name.startsWith('val_'));
  return hasTest ? names : [...names, ...names.map((name) => `val_${name}`)];
}

/** Value as a field, in quotes where it must be. */
const quote = (text: string, separator: string): string =>
  text.includes(separator) || /["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

/** Rows of an existing file; none if it does not exist. A row that a killed process has left unfinished is dropped. */
async function readRows(path: string, separator: string): Promise<string[][]> {
  try {
    const text = (await readRegularFile(path, MAX_BYTES)).toString('utf8');
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    return parse(whole, { delimiter: separator, relax_column_count: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Error(`${path} cannot be read as CSV: ${describeDiskError(error)}.`, { cause: error });
  }
}
