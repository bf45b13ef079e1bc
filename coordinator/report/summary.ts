import type { RunFolder } from '../run/run-folder.ts';
import type { TestScores } from '../run/save-stopped.ts';
import { formatMetric, type Reporter } from './reporter.ts';
import { quoteForShell } from './quote-for-shell.ts';
import type { Dataset } from '../../shared/data/dataset.ts';

/** What the person gave, as far as it has to be given again. */
export interface SummaryFlags {
  readonly command: 'train' | 'coordinator';
  readonly data?: string;
  readonly transpose?: boolean | undefined;
  readonly codec: string;
  readonly audit?: number;
  readonly https?: boolean;
  readonly token?: string;
}

type InfoReporter = Pick<Reporter, 'info'>;
interface CommandLineNames {
  readonly commandLine: string;
  /** A picture to try the model with. */
  readonly samplePicture?: string | undefined;
}

/**
 * Says what a run has come to, and what can be done with it.
 * @param measured of the weights that are saved; null if they were not measured
 */
export function printSummary(
  measured: TestScores | null,
  { modelDir }: Pick<RunFolder, 'modelDir'>,
  flags: SummaryFlags,
  { commandLine, samplePicture = 'YOUR-PICTURE.png' }: CommandLineNames,
  report: InfoReporter,
): void {
  if (measured !== null) {
    const { val_loss, val_accuracy } = measured;
    report.info(`Test loss: ${formatMetric(val_loss)}`, { event: 'score', val_loss });
    report.info(`Test accuracy: ${formatMetric(val_accuracy)}`, { event: 'score', val_accuracy });
  }
  report.info(`Model: ${modelDir}`, { event: 'model', modelDir });
  report.info(`Use it:`);
  report.info(
    `  ${commandLine} evaluate ${quoteForShell(modelDir)}${dataFlag(flags)}${transposeFlag(flags)}`,
  );
  report.info(`  ${commandLine} predict ${quoteForShell(modelDir)} ${quoteForShell(samplePicture)}`);
}

/** Says how a run that was stopped is resumed. */
export function printResumeHint(
  { dir }: Pick<RunFolder, 'dir'>,
  flags: SummaryFlags,
  { commandLine }: CommandLineNames,
  report: InfoReporter,
): void {
  const { command, codec, audit, https, token } = flags;
  report.info(token === undefined ? 'Resume it:' : 'Resume it, with the same --token:');
  report.info(
    `  ${commandLine} ${command} --resume ${quoteForShell(dir)}${dataFlag(flags)}` +
      (codec === 'auto' ? '' : ` --codec ${codec}`) +
      (audit === undefined ? '' : ` --audit ${audit}`) +
      (https === true ? ' --https' : ''),
  );
}

const dataFlag = ({ data }: SummaryFlags): string =>
  data === undefined ? '' : ` --data ${quoteForShell(data)}`;
/** A resumed run finds out by itself, an evaluation cannot. */
const transposeFlag = ({ transpose }: SummaryFlags): string => (transpose === true ? ' --transpose' : '');

/** Says what a run trains on, as Keras' example does. */
export function printDataset(
  { name, description, train: training, test, sampleShape }: Dataset,
  report: Reporter,
): void {
  if (name === 'drawn-digits') report.warn(description);
  else report.info(description);
  report.info(`x_train shape: (${[training.count, ...sampleShape].join(', ')})`);
  report.info(`x_test shape: (${[test.count, ...sampleShape].join(', ')})`);
  report.info(`Train on ${training.count} samples, validate on ${test.count} samples`);
}
