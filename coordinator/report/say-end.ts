import type { RunFolder } from '../storage/run-folder.ts';
import type { Trained } from '../training/train.ts';
import type { Report } from './report.ts';
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
}

/** Says what a run has come to, and what can be done with it. */
export function sayEnd(
  { last }: Pick<Trained, 'last'>,
  { modelDir }: Pick<RunFolder, 'modelDir'>,
  flags: EndFlags,
  { typed }: Typed,
  report: Says,
): void {
  if (last !== null) {
    report.info(`Test score: ${last.val_loss}`, { event: 'score', val_loss: last.val_loss });
    report.info(`Test accuracy: ${last.val_accuracy}`, { event: 'score', val_accuracy: last.val_accuracy });
  }
  report.info(`Model: ${modelDir}`, { event: 'model', modelDir });
  report.info(`Use it:`);
  report.info(`  ${typed} evaluate ${shellWord(modelDir)}${dataFlag(flags)}${transposeFlag(flags)}`);
  report.info(`  ${typed} predict ${shellWord(modelDir)} digit.png`);
}

/** Says how a run that was stopped is gone on with. */
export function sayGoOn(
  { dir }: Pick<RunFolder, 'dir'>,
  flags: EndFlags,
  { typed }: Typed,
  report: Says,
): void {
  const { command, codec, audit, https, token } = flags;
  report.info(token === undefined ? 'Go on with it:' : 'Go on with it, with the same --token:');
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
