// A whole distributed run in little: a coordinator in this process, and workers as `train` starts them. Answers every
// number with the milliseconds of as many steps: sockets, sum, Adadelta and broadcast included.
// Arguments: engine, workers, batch
import { startCoordinator } from '../../coordinator/coordinator.ts';
import { startLocalWorkers } from '../../coordinator/local-workers.ts';
import { waitForWorkers } from '../../coordinator/members/wait-for-workers.ts';
import { prepareJob } from '../../coordinator/model.ts';
import { plainReport } from '../../coordinator/report/plain-report.ts';
import { createOptimizer } from '../../coordinator/training/optimizer.ts';
import { clockOf } from '../../shared/clock.ts';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';

const [, , engine = 'wasm', workersText = '2', batchText = '128'] = process.argv;
const [workers, batch] = [Number(workersText), Number(batchText)];
/** As many batches as take turns; what is in them makes no difference to the time. */
const BATCHES = 16;

const clock = clockOf(globalThis);
const { signal } = new AbortController();
const dataset = drawDigits({ seed: 1, trainCount: BATCHES * batch, testCount: 10 });
const { job, initialWeights: weights } = await prepareJob(dataset, { batchSize: batch, epochs: 1, seed: 1 });
const coordinator = await startCoordinator({
  job,
  host: '127.0.0.1',
  port: 0,
  maxWorkers: workers,
  pageDir: 'dist/page',
  clock,
  report: plainReport(() => undefined, clock),
  signal,
});
const local = startLocalWorkers({
  count: workers,
  command: [process.execPath, 'bin/gradcast.js'],
  url: coordinator.urls[0] ?? '',
  engine,
  onLine: (line) => process.stderr.write(`${line}\n`),
});
void local.gone.then((said) => {
  process.stderr.write(`the workers have ended: ${said}\n`);
  process.exit(1);
});
await waitForWorkers(coordinator.pool, workers, 60_000, clock, signal);

const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
let step = 0;
const samplesOf = (turn: number): Uint32Array =>
  Uint32Array.from({ length: batch }, (_, i) => (turn % BATCHES) * batch + i);

async function takeStep(): Promise<number> {
  const startedMs = performance.now();
  const input = { step: step as Step, weights, split: dataset.train };
  await coordinator.rounds.gradient(input, samplesOf(step), {
    next: samplesOf(step + 1),
    onSummed: (gradientSum, part) => optimizer.step(weights, gradientSum, batch, part),
  });
  step++;
  return performance.now() - startedMs;
}

process.on('message', (count: number) => void run(count));
process.once('disconnect', () => void local.stop().then(() => process.exit(0)));
process.send?.('ready');

async function run(count: number): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await takeStep());
  process.send?.(times);
}
