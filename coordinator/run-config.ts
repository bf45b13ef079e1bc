import type { PreparedRun } from './begin.ts';
import type { CliContext } from './program.ts';
import type { TrainFlags } from './train-command.ts';

/** The contents of config.json: everything that the run can be repeated with, but no secret. */
export function createRunConfig(
  flags: TrainFlags,
  { job, dataset, checkpointEvery }: Pick<PreparedRun, 'job' | 'dataset' | 'checkpointEvery'>,
  { version }: Pick<CliContext, 'version'>,
): object {
  const { token, ...rest } = flags;
  return {
    gradcast: version,
    node: process.version,
    started: new Date().toISOString(),
    ...rest,
    epochs: job.epochs,
    checkpointEvery,
    optimizer: job.optimizer,
    token: token === undefined ? 'none' : 'set',
    dataset: { name: dataset.name, description: dataset.description },
  };
}
