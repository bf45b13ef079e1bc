/**
 * gradcast as a library: trains a model on workers of this machine, of others and in browsers.
 *
 * @example
 * ```js
 * import { train } from 'gradcast';
 *
 * const run = train({ data: 'fashion-mnist/', optimizer: 'adam', epochs: 3 }, { workers: 2 });
 * for await (const event of run) {
 *   if (event.type === 'epoch') console.log(event.epoch, event.val_accuracy);
 * }
 * const model = await run;
 * await model.save('model/');
 * ```
 * @packageDocumentation
 */
export { train, type CodecOption, type ListeningAt, type TrainOptions } from './api/train.ts';
export type { Run } from './api/run.ts';
export type { EpochEvent, RunEvent, StepEvent } from './api/events.ts';
export type { ExportOptions, NestedNumbers, PredictRowsOptions, TrainedModel } from './api/trained-model.ts';
export type { ClassPrediction, OutputPrediction } from './predict/output-reader.ts';
export type { Row } from './predict/table-inputs.ts';
export {
  createCoordinator,
  type Coordinator,
  type CoordinatorOptions,
  type ListenOptions,
} from './api/create-coordinator.ts';
export { loadDataset, loadModel, type DatasetOptions, type SavedModel } from './api/load.ts';
export { lineReporter } from './api/reporters.ts';
export {
  defineTask,
  type ArrayData,
  type ArrayValues,
  type DataFiles,
  type ModelDataset,
  type ModelFunction,
  type TargetSpec,
  type Task,
  type TaskData,
  type TaskModel,
} from './task/task.ts';
export type { Layer, LayersModel, SymbolicTensor, TensorFlow } from './task/tensorflow.ts';
export { RunFinishedError, TrainingDiverged } from './training/errors.ts';
export { DataError } from '../shared/data/data-error.ts';

export type { Codec } from '../shared/codec/codec.ts';
export type { Dataset, Split } from '../shared/data/dataset.ts';
export type { Shard } from '../shared/data/shard.ts';
export type { Engine, GradientComputer } from '../shared/engine/engine.ts';
export type { Job, Topology } from '../shared/model/job.ts';
export type { LossSpec, MetricSpec } from '../shared/model/outputs.ts';
export type { TensorSpec } from '../shared/model/tensors.ts';
export type { EpochRecord } from '../shared/protocol/messages.ts';
export type { Progress, Reporter } from './report/reporter.ts';

export type { Callback, CallbackContext, CallbackModel, CallbackState, Logs } from './callbacks/callback.ts';
export { csvLog, type CsvLogOptions } from './callbacks/csv-log.ts';
export { earlyStopping, type EarlyStoppingOptions } from './callbacks/early-stopping.ts';
export { learningRateSchedule, reduceLROnPlateau, type RateFunction } from './callbacks/learning-rate.ts';
export { modelCheckpoint, type ModelCheckpointOptions } from './callbacks/model-checkpoint.ts';
export type { MonitorOptions } from './callbacks/monitor.ts';
export { tensorBoard, type TensorBoardOptions } from './callbacks/tensorboard.ts';
export { webhook, type WebhookEvent, type WebhookOptions } from './callbacks/webhook.ts';

export type { OptimizerOptions as Optimizer } from './optimizer/hyperparameters.ts';
export type { AdadeltaOptions } from './optimizer/adadelta.ts';
export type { AdagradOptions } from './optimizer/adagrad.ts';
export type { AdamOptions } from './optimizer/adam.ts';
export type { AdamaxOptions } from './optimizer/adamax.ts';
export type { AdamWOptions } from './optimizer/adamw.ts';
export type { CommonOptions, ScheduleOptions } from './optimizer/common-options.ts';
export type { LambOptions } from './optimizer/lamb.ts';
export type { LionOptions } from './optimizer/lion.ts';
export type { MuonOptions } from './optimizer/muon.ts';
export type { NadamOptions } from './optimizer/nadam.ts';
export type { RmspropOptions } from './optimizer/rmsprop.ts';
export type { SgdOptions } from './optimizer/sgd.ts';
