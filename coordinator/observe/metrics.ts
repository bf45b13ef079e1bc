import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../../shared/util/clock.ts';
import { metricOf, type EpochRecord } from '../../shared/protocol/messages.ts';
import type { WorkerPool } from '../pool/pool.ts';
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
  #lastStepMs: number | null = null;

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
    const sum = (value: (stats: { bytesUp: number; bytesDown: number }) => number): number =>
      [...pool.workers.values()].reduce((total, { stats }) => total + value(stats), 0);
    gauge('workers', 'Workers that are ready', () => pool.workers.size);
    gauge('observers', 'Connected observers', observerCount);
    gauge('received_bytes', 'Bytes from the connected workers, since each of them joined', () =>
      sum((s) => s.bytesUp),
    );
    gauge('sent_bytes', 'Bytes to the connected workers, since each of them joined', () =>
      sum((s) => s.bytesDown),
    );
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

  /** The metrics as Prometheus reads them, with the content type. */
  async text(): Promise<{ readonly contentType: string; readonly body: string }> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  epochStarted(epoch: number): void {
    this.#epoch.set(epoch);
    this.#lastStepMs = null;
  }

  stepFinished({ batch, loss, metrics }: StepReport): void {
    const nowMs = this.#clock.now();
    if (this.#lastStepMs !== null) this.#stepSeconds.observe((nowMs - this.#lastStepMs) / 1000);
    this.#lastStepMs = nowMs;
    this.#steps.inc();
    this.#samples.inc(batch.samples);
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
