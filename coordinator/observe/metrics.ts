import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../../shared/util/clock.ts';
import { metricOf, type EpochRecord } from '../../shared/protocol/messages.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { WorkerStats } from '../pool/worker.ts';
import type { StepReport, TrainingListener } from '../report/reporter.ts';

export interface MetricsOptions {
  readonly pool: Pick<WorkerPool, 'workers' | 'subscribe'>;
  readonly observerCount: () => number;
  readonly clock: Clock;
}

const STEP_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Figures of a run in Prometheus format, see docs/metrics.md. */
export class Metrics implements TrainingListener {
  readonly #registry = new Registry();
  readonly #clock: Clock;
  readonly #epoch: Gauge;
  readonly #loss: Gauge<'split'>;
  readonly #metrics = new Map<string, Gauge<'split'>>();
  readonly #steps: Counter;
  readonly #samples: Counter;
  readonly #stepSeconds: Histogram;
  readonly #dataWait: Counter;
  /** Time of the end of the last step. */
  #lastStepMs: number | null = null;
  #lastDurationMs: number | null = null;

  constructor({ pool, observerCount, clock }: MetricsOptions) {
    this.#clock = clock;
    const registers = [this.#registry];
    const gauge = (name: string, help: string, value?: () => number): Gauge =>
      new Gauge({
        name: `gradcast_${name}`,
        help,
        registers,
        ...(value === undefined
          ? {}
          : {
              collect() {
                this.set(value());
              },
            }),
      });
    const counter = (name: string, help: string): Counter =>
      new Counter({ name: `gradcast_${name}`, help, registers });
    const split = (name: string, help: string): Gauge<'split'> =>
      new Gauge({ name: `gradcast_${name}`, help, labelNames: ['split'], registers });

    this.#epoch = gauge('epoch', 'Current epoch, from 1');
    this.#loss = split('loss', 'Mean loss of the current epoch so far (train), or of the last epoch (test)');
    this.#steps = counter('steps_total', 'Finished steps');
    this.#samples = counter('samples_total', 'Training samples of finished steps');
    this.#stepSeconds = new Histogram({
      name: 'gradcast_step_seconds',
      help: 'Time from the end of one step to the end of the next',
      buckets: STEP_SECONDS,
      registers,
    });
    this.#dataWait = counter('data_wait_seconds_total', 'Time in which steps waited for samples');
    gauge('workers', 'Workers that are ready', () => pool.workers.size);
    gauge(
      'compute_fraction',
      'Longest computation of a shard, as a part of the last step: near 1, more workers make steps faster',
      () => (this.#lastDurationMs === null ? 0 : longestComputeMs(pool) / this.#lastDurationMs),
    );
    gauge('observers', 'Connected observers', observerCount);
    this.#traffic(pool, 'received_bytes_total', 'Bytes from workers', ({ bytesUp }) => bytesUp);
    this.#traffic(pool, 'sent_bytes_total', 'Bytes to workers', ({ bytesDown }) => bytesDown);
    // CPU time, memory and delay of the event loop of this process, by the names that are usual for Node.
    collectDefaultMetrics({ register: this.#registry });
    const joined = counter('workers_joined_total', 'Workers that joined');
    const left = counter('workers_left_total', 'Workers that left, for any reason');
    const refused = counter('workers_refused_total', 'Refused connections');
    const failed = counter('failed_shards_total', 'Shards that a worker failed to compute');
    pool.subscribe({
      joined: () => joined.inc(),
      left: () => left.inc(),
      refused: () => refused.inc(),
      shardFailed: () => failed.inc(),
    });
  }

  /** Adds a counter of bytes that workers count: of those that are connected, and of those that have left. */
  #traffic(
    pool: MetricsOptions['pool'],
    name: string,
    help: string,
    bytesOf: (stats: WorkerStats) => number,
  ): void {
    let ofFormer = 0;
    pool.subscribe({ left: ({ stats }) => (ofFormer += bytesOf(stats)) });
    new Counter({
      name: `gradcast_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc([...pool.workers.values()].reduce((sum, { stats }) => sum + bytesOf(stats), ofFormer));
      },
    });
  }

  /** The metrics as Prometheus reads them, with the content type. */
  async text(): Promise<{ readonly contentType: string; readonly body: string }> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  epochStarted(epoch: number): void {
    this.#epoch.set(epoch);
    this.#lastStepMs = null;
  }

  stepFinished({ batch, loss, metrics, dataWaitMs }: StepReport): void {
    const nowMs = this.#clock.now();
    if (this.#lastStepMs !== null) {
      this.#lastDurationMs = nowMs - this.#lastStepMs;
      this.#stepSeconds.observe(this.#lastDurationMs / 1000);
    }
    this.#lastStepMs = nowMs;
    this.#steps.inc();
    this.#samples.inc(batch.samples);
    this.#dataWait.inc(dataWaitMs / 1000);
    this.#loss.set({ split: 'train' }, loss);
    for (const [name, value] of Object.entries(metrics)) this.#gaugeOf(name).set({ split: 'train' }, value);
  }

  epochFinished(record: EpochRecord): void {
    this.#loss.set({ split: 'test' }, record.val_loss);
    for (const [name, gauge] of this.#metrics) {
      const value = metricOf(record, `val_${name}`);
      if (value !== null) gauge.set({ split: 'test' }, value);
    }
  }

  /** Gauge of a metric of the job. */
  #gaugeOf(metric: string): Gauge<'split'> {
    const existing = this.#metrics.get(metric);
    if (existing !== undefined) return existing;
    const label = metric === 'accuracy' ? 'Accuracy' : metric;
    let name = `gradcast_${metric.replaceAll(/[^a-zA-Z0-9_]/g, '_')}`;
    // Other figures and metrics may have the name.
    while (this.#registry.getSingleMetric(name) !== undefined) name += '_';
    const gauge = new Gauge({
      name,
      help: `${label} of the current epoch so far (train), or of the last epoch (test)`,
      labelNames: ['split'] as const,
      registers: [this.#registry],
    });
    this.#metrics.set(metric, gauge);
    return gauge;
  }
}

/** Time that the slowest worker computed its last shard. */
const longestComputeMs = ({ workers }: MetricsOptions['pool']): number =>
  Math.max(0, ...[...workers.values()].map(({ link }) => link.meter.shard?.computeMs ?? 0));
