import type { RunFolder } from '../storage/run-folder.ts';
import type { Measured } from '../save-stopped.ts';
import { fixed, type Report } from './report.ts';
import { shellWord } from './shell-word.ts';

/** What the person gave, as far as it has to be given again. */
export interface EndFlags {
  readonly command: 'train' | 'coordinator';
  readonly data?: string;
  readonly transpose?: boolean | undefined;
  readonly codec: string;
  readonly audit?: number;
  readonly https?: boolean;
  readonly token?: string;
}

type Says = Pick<Report, 'info'>;
interface Typed {
  readonly typed: string;
  /** A picture to try the model with. */
  readonly picture?: string | undefined;
}

/**
 * Says what a run has come to, and what can be done with it.
 * @param measured of the weights that are saved; null if they were not measured
 */
export function sayEnd(
  measured: Measured | null,
  { modelDir }: Pick<RunFolder, 'modelDir'>,
  flags: EndFlags,
  { typed, picture = 'YOUR-PICTURE.png' }: Typed,
  report: Says,
): void {
  if (measured !== null) {
    const { val_loss, val_accuracy } = measured;
    report.info(`Test loss: ${fixed(val_loss)}`, { event: 'score', val_loss });
    report.info(`Test accuracy: ${fixed(val_accuracy)}`, { event: 'score', val_accuracy });
  }
  report.info(`Model: ${modelDir}`, { event: 'model', modelDir });
  report.info(`Use it:`);
  report.info(`  ${typed} evaluate ${shellWord(modelDir)}${dataFlag(flags)}${transposeFlag(flags)}`);
  report.info(`  ${typed} predict ${shellWord(modelDir)} ${shellWord(picture)}`);
}

/** Says how a run that was stopped is resumed. */
export function sayGoOn(
  { dir }: Pick<RunFolder, 'dir'>,
  flags: EndFlags,
  { typed }: Typed,
  report: Says,
): void {
  const { command, codec, audit, https, token } = flags;
  report.info(token === undefined ? 'Resume it:' : 'Resume it, with the same --token:');
  report.info(
    `  ${typed} ${command} --resume ${shellWord(dir)}${dataFlag(flags)}` +
      (codec === 'auto' ? '' : ` --codec ${codec}`) +
      (audit === undefined ? '' : ` --audit ${audit}`) +
      (https === true ? ' --https' : ''),
  );
}

const dataFlag = ({ data }: EndFlags): string => (data === undefined ? '' : ` --data ${shellWord(data)}`);
/** A resumed run finds out by itself, an evaluation cannot. */
const transposeFlag = ({ transpose }: EndFlags): string => (transpose === true ? ' --transpose' : '');
