import { flagName, type OptionName } from '../../shared/util/option-names.ts';
import type { Task } from '../../shared/protocol/messages.ts';

/** No worker computes a finite gradient, or loss. */
export class TrainingDiverged extends Error {
  constructor(step: number, task: Task = 'train') {
    super(
      `Training diverged: at step ${step} no worker gets a finite ${task === 'train' ? 'gradient' : 'loss'}. Try a smaller learning rate or another seed.`,
    );
    this.name = 'TrainingDiverged';
  }
}

/** The run was stopped, and the step in progress is not finished: no worker is connected, or there is no time. */
export class Interrupted extends Error {
  constructor(message = 'Interrupted while no worker was connected.') {
    super(message);
    this.name = 'Interrupted';
  }
}

/** The run cannot go on: its coordinator was closed, or its workers have ended. Its finished steps are kept. */
export class RunAborted extends Error {}

/** The run to resume has no step left. */
export class RunFinishedError extends Error {
  constructor(dir: string, epochs: number, optionName: OptionName = flagName) {
    super(
      `The run in ${dir} is finished (${epochs} of ${epochs} epochs), and its model is in its folder model. To train it longer, use ${optionName('epochs')} ${2 * epochs}.`,
    );
    this.name = 'RunFinishedError';
  }
}
