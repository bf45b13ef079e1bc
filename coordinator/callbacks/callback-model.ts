import { dirname } from 'node:path';
import type { CodeBundle } from '../../shared/model/custom-code.ts';
import type { Job } from '../../shared/model/job.ts';
import { writeFileAtomic } from '../files/write-file.ts';
import { makeFolder } from '../files/make-folder.ts';
import { nameWeights } from '../model-file/weights-file.ts';
import { compileConfigOf } from '../model/compile-export.ts';
import type { Optimizer } from '../optimizer/optimizer.ts';
import { scoresOf, type TestScores } from '../report/reporter.ts';
import { modelToSave, saveModel, type TrainedBy } from '../run/model-folder.ts';
import type { CallbackModel, Logs } from './callback.ts';

/** Weights that a callback has chosen for the run's model. */
export interface FinalModel {
  readonly weights: Float32Array;
  /** Epoch after which the model had them. */
  readonly epoch: number;
  /** Scores of these weights on the test data; null if they have to be measured. */
  readonly scores: TestScores | null;
}

export interface CallbackModelOptions {
  readonly job: Job;
  readonly weightNames: readonly string[];
  readonly optimizer: Pick<Optimizer, 'averagedWeights'>;
  readonly trainedBy: TrainedBy;
  /** Custom code of the job, which is written beside models. @default none */
  readonly customCode?: CodeBundle | undefined;
  /** Current epoch and scores. */
  readonly position: () => { readonly epoch: number; readonly logs: Logs };
  readonly onReplaced: (model: FinalModel) => void;
}

/** The model of a run, for callbacks. */
export function callbackModel(options: CallbackModelOptions): CallbackModel {
  const { job, weightNames: names, optimizer, trainedBy, customCode, position, onReplaced } = options;
  const weights = (): Float32Array => optimizer.averagedWeights.slice();
  return {
    job,
    names,
    weights,
    tensors: () => nameWeights(weights(), names, job.layout),
    replace(chosen, { epoch = position().epoch, scores } = {}) {
      const { length } = optimizer.averagedWeights;
      if (chosen.length !== length)
        throw new RangeError(`The model has ${length} weights; ${chosen.length} were passed to replace().`);
      onReplaced({ weights: chosen, epoch, scores: testScoresOf(scores) });
    },
    async save(path) {
      const { epoch: epochs, logs } = position();
      if (!path.endsWith('.keras')) {
        const model = modelToSave(
          job,
          { weights: weights(), names },
          { ...trainedBy, epochs },
          testScoresOf(logs),
        );
        return saveModel(path, { ...model, customCode });
      }
      const named = nameWeights(weights(), names, job.layout);
      // Runs without a Keras file do not load the library that writes one.
      const { kerasArchive } = await import('../model-file/save-keras.ts');
      const archive = await kerasArchive(job, named, new Date(), compileConfigOf(job, names));
      await makeFolder(dirname(path));
      await writeFileAtomic(path, archive);
    },
  };
}

/** Scores on the test data; null if there are none. */
function testScoresOf(scores: Logs | undefined): TestScores | null {
  const { val_loss: loss } = scores ?? {};
  return loss === undefined ? null : scoresOf({ ...scores, val_loss: loss });
}
