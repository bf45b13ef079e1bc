import type { Dataset } from '../../shared/data/dataset.ts';
import { describeCode, type CustomCode } from '../../shared/model/custom-code.ts';
import { quoteForShell } from './quote-for-shell.ts';
import { formatMetric, type Reporter, type TestScores } from './reporter.ts';

/** Options of a run that a later command needs again. */
export interface SummaryFlags {
  readonly command: 'train' | 'coordinator';
  readonly data?: string | undefined;
  readonly testData?: string | undefined;
  readonly validationSplit?: number | undefined;
  readonly format?: string | undefined;
  readonly target?: string | readonly string[] | undefined;
  readonly ignore?: readonly string[] | undefined;
  readonly types?: Readonly<Record<string, string>> | undefined;
  readonly tokenizer?: string | undefined;
  readonly sequenceLength?: number | undefined;
  readonly codec: string;
  readonly audit?: number;
  readonly https?: boolean;
  readonly token?: string;
  /** Address and port, if they are not the command's default. */
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** SHA-256 of the run's custom code, which commands that run it need. @default none */
  readonly customCode?: string | undefined;
  /** Task file of the run. */
  readonly task?: string | undefined;
}

/** The data of a model, as far as a summary needs it. */
type TrainedOn = Pick<Dataset, 'inputs' | 'preprocessing'>;
type InfoReporter = Pick<Reporter, 'info'>;
interface CommandLineNames {
  readonly commandLine: string;
  /** Picture for the example of `predict`. */
  readonly samplePicture?: string | undefined;
}

/**
 * Prints the scores of a finished run, and commands that use its model.
 * @param measured scores of the saved weights; null if they were not measured
 */
export function printSummary(
  measured: TestScores | null,
  { modelDir, dataset }: { readonly modelDir: string; readonly dataset: TrainedOn },
  flags: SummaryFlags,
  { commandLine, samplePicture = 'YOUR-PICTURE.png' }: CommandLineNames,
  report: InfoReporter,
): void {
  if (measured !== null) {
    for (const [name, value] of Object.entries(measured)) {
      report.info(`Test ${name.slice('val_'.length)}: ${formatMetric(value)}`, {
        event: 'score',
        [name]: value,
      });
    }
  }
  report.info(`Model: ${modelDir}`, { event: 'model', modelDir });
  report.info(`Use it:`);
  report.info(`  ${commandLine} evaluate ${quoteForShell(modelDir)}${trustFlag(flags)}`);
  report.info(
    `  ${commandLine} predict ${quoteForShell(modelDir)} ${exampleInput(dataset, samplePicture)}${trustFlag(flags)}`,
  );
}

/** Example of an input that `predict` reads for a model of such data. */
function exampleInput({ inputs, preprocessing }: TrainedOn, samplePicture: string): string {
  switch (preprocessing?.kind) {
    case 'image':
      return 'YOUR-PICTURE.jpg';
    case 'table':
      return 'YOUR-TABLE.csv';
    case 'text':
      return '--text "YOUR TEXT"';
    case undefined:
      return inputs[0]?.shape.length === 3 ? quoteForShell(samplePicture) : 'YOUR-SAMPLES.npy';
  }
}

/** Prints the command that resumes a stopped run. */
export function printResumeHint(
  { dir }: { readonly dir: string },
  flags: SummaryFlags,
  { commandLine }: CommandLineNames,
  report: InfoReporter,
): void {
  const { command, codec, audit, https, token, task, host, port } = flags;
  const source = task === undefined ? dataFlag(flags) : '';
  report.info(token === undefined ? 'Resume it:' : 'Resume it, with the same --token:');
  report.info(
    `  ${commandLine} ${command}${task === undefined ? '' : ` ${quoteForShell(task)}`} --resume ${quoteForShell(dir)}${source}` +
      (codec === 'auto' ? '' : ` --codec ${codec}`) +
      (audit === undefined ? '' : ` --audit ${audit}`) +
      (https === true ? ' --https' : '') +
      (host === undefined ? '' : ` --host ${quoteForShell(host)}`) +
      (port === undefined ? '' : ` --port ${port}`) +
      // The task file names the code itself.
      (task === undefined ? trustFlag(flags) : ''),
  );
}

/** Options about the data. A checkpoint does not have them, and its digest finds other data. */
function dataFlag(flags: SummaryFlags): string {
  const { data, format, testData, validationSplit, target, ignore, types, tokenizer, sequenceLength } = flags;
  const listed = (list: string | readonly string[] | undefined): string | undefined =>
    list === undefined ? undefined : [list].flat().join(',');
  const typesList = types && Object.entries(types).map((entry) => entry.join(':'));
  const options: [string, string | undefined][] = [
    ['--data', data],
    ['--format', format],
    ['--test-data', testData],
    ['--validation-split', validationSplit?.toString()],
    ['--target', listed(target)],
    ['--ignore', listed(ignore)],
    ['--types', listed(typesList)],
    ['--tokenizer', tokenizer],
    ['--sequence-length', sequenceLength?.toString()],
  ];
  return options
    .map(([name, value]) => (value === undefined ? '' : ` ${name} ${quoteForShell(value)}`))
    .join('');
}

const trustFlag = ({ customCode }: SummaryFlags): string =>
  customCode === undefined ? '' : ` --trust ${customCode}`;

/** Prints the custom code of a run, and how workers of other people come to run it. */
export function printCustomCode(code: CustomCode, report: InfoReporter): void {
  report.info(`Custom code: ${describeCode(code)}. SHA-256 ${code.hash}`, {
    event: 'customCode',
    hash: code.hash,
  });
  report.info(`Workers on other machines need --trust ${code.hash}; browsers of this page run it.`);
}

/** Prints the data set of a run, as Keras' example does. */
export function printDataset(
  { name, description, train: training, test, inputs }: Dataset,
  report: Reporter,
): void {
  if (name === 'drawn-digits') report.warn(description);
  else report.info(description);
  for (const { name: input, shape } of inputs) {
    const x = inputs.length === 1 ? 'x' : input;
    report.info(`${x}_train shape: (${[training.count, ...shape].join(', ')})`);
    report.info(`${x}_test shape: (${[test.count, ...shape].join(', ')})`);
  }
  report.info(`Train on ${training.count} samples, validate on ${test.count} samples`);
}
