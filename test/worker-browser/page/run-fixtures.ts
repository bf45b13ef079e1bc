import { initialRunState, reduceRun, type RunEvent } from '../../../worker-browser/page/run-state.ts';
import type { Job } from '../../../shared/model/job.ts';
import type {
  CurvePoint,
  EpochRecord,
  FromCoordinator,
  ProgressMessage,
  RunMessage,
  WorkerRow,
} from '../../../shared/protocol/messages.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';
import { classOutput } from '../../../shared/model/stored-job.ts';

export const job = {
  epochs: 12,
  seed: 1,
  ...imageTensors([28, 28, 1], 10),
  outputs: [classOutput('dense_2', 10)],
  data: { name: 'mnist' },
} as unknown as Job;
export const point = (step: number, loss = 1, steps = 1): CurvePoint => ({
  step,
  steps,
  loss,
  metrics: { accuracy: 0.5 },
});
export const runMessage = (curve: CurvePoint[] = [], ofJob: Job = job): RunMessage => ({
  type: 'run',
  protocol: 2,
  job: ofJob,
  steps: 100,
  curve,
  epochs: [],
});
export const record: EpochRecord = {
  epoch: 1,
  loss: 0.5,
  accuracy: 0.8,
  val_loss: 0.4,
  val_accuracy: 0.9,
  seconds: 10,
  samples_per_second: 1,
  workers: 1,
  data: 'mnist',
};
export const worker = (id: string, more: Partial<WorkerRow> = {}): WorkerRow => ({
  id,
  name: `worker ${id}`,
  backend: 'wasm',
  device: 'CPU',
  share: 0.5,
  samples: 100,
  samplesPerSecond: 400,
  computeMs: 50,
  turnaroundMs: 200,
  rttMs: null,
  bytesUp: 2_400_000,
  bytesDown: 0,
  ...more,
});
export const progress = (more: Partial<ProgressMessage> = {}): ProgressMessage => ({
  type: 'progress',
  epoch: 2,
  step: 20,
  loss: 0.25,
  metrics: { accuracy: 0.93 },
  samplesPerSecond: 1234,
  etaSeconds: 61,
  curve: [],
  workers: [],
  slowest: null,
  ...more,
});
export const received = (message: FromCoordinator): RunEvent => ({ type: 'message', message });
/** The state after these events. */
export const stateAfter = (...events: RunEvent[]) =>
  events.reduce((state, event) => reduceRun(state, event), initialRunState);
