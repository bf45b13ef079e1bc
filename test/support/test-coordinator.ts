import { startCoordinator, type Coordinator } from '../../coordinator/hosting/coordinator.ts';
import type { CodecRule } from '../../coordinator/links/codecs.ts';
import { prepareJob, type JobSettings, type PreparedJob } from '../../coordinator/model/model.ts';
import type { OpenCoordinatorEngine } from '../../coordinator/integrity/reference-engine.ts';
import type { ServerOptions } from '../../coordinator/server/http.ts';
import type { Reporter } from '../../coordinator/report/reporter.ts';
import { systemClock, type Clock } from '../../shared/util/clock.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Topology } from '../../shared/model/job.ts';

/** Reporter that records its lines. */
export function recordingReport(): Reporter & { readonly lines: string[] } {
  const lines: string[] = [];
  return {
    lines,
    info: (line) => void lines.push(line),
    warn: (line) => void lines.push(`! ${line}`),
    progress: () => undefined,
    epochStarted: () => undefined,
    stepFinished: () => undefined,
    epochFinished: () => undefined,
    close: () => undefined,
  };
}

export interface TestCoordinator extends Coordinator, PreparedJob {
  readonly url: string;
  readonly lines: readonly string[];
  /** Stops the run like Ctrl-C. */
  stop(): void;
}

/** Starts a real coordinator on a free port in this process. */
export async function testCoordinator(
  dataset: Dataset,
  settings: Partial<JobSettings> & {
    readonly token?: string;
    /** @default 16 */
    readonly maxWorkers?: number;
    /** @default a free one */
    readonly port?: number;
    readonly buckets?: boolean;
    /** @default none */
    readonly allowedOrigins?: readonly string[];
    readonly audit?: number | undefined;
    readonly codecs?: CodecRule;
    readonly openOwnEngine?: OpenCoordinatorEngine;
    readonly tls?: ServerOptions['tls'];
    /** @default the platform's clock */
    readonly clock?: Clock;
  } = {},
): Promise<TestCoordinator> {
  const report = recordingReport();
  const stop = new AbortController();
  const prepared = await prepareJob(dataset, { batchSize: 128, epochs: 1, seed: 1337, ...settings });
  const coordinator = await startCoordinator({
    job: prepared.job,
    customCode: settings.custom,
    weightNames: prepared.weightNames,
    shownData: dataset,
    host: '127.0.0.1',
    port: settings.port ?? 0,
    token: settings.token,
    audit: settings.audit,
    maxWorkers: settings.maxWorkers ?? 16,
    codecs: settings.codecs,
    openCoordinatorEngine: settings.openOwnEngine,
    tls: settings.tls,
    allowedOrigins: settings.allowedOrigins,
    ...(settings.buckets === true ? { usesBuckets: () => true } : {}),
    pageDir: 'dist/page',
    clock: settings.clock ?? systemClock(globalThis),
    report,
    signal: stop.signal,
  });
  const url = coordinator.urls[0] ?? '';
  return { ...coordinator, ...prepared, url, lines: report.lines, stop: () => stop.abort() };
}

/** Resolves when at least `count` workers are ready. */
export function waitForWorkersReady({ pool }: Coordinator, count: number): Promise<void> {
  return waitUntil({ pool }, () => pool.workers.size >= count);
}

/** Resolves when the worker of this name is ready. */
export function waitForWorkerReady({ pool }: Coordinator, name: string): Promise<void> {
  return waitUntil({ pool }, () => [...pool.workers.values()].some((worker) => worker.name === name));
}

function waitUntil({ pool }: Pick<Coordinator, 'pool'>, condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!condition()) return;
      stop();
      resolve();
    };
    const stop = pool.subscribe({ joined: check });
    check();
  });
}

/** Model with one dense softmax layer, which is fast on any engine. */
export function tinyTopology(sampleShape: readonly number[], classes: number): Topology {
  return {
    class_name: 'Sequential',
    config: {
      name: 'tiny',
      layers: [
        {
          class_name: 'Flatten',
          config: { name: 'flatten', batch_input_shape: [null, ...sampleShape], dtype: 'float32' },
        },
        {
          class_name: 'Dense',
          config: {
            name: 'dense',
            units: classes,
            activation: 'softmax',
            use_bias: true,
            kernel_initializer: {
              class_name: 'VarianceScaling',
              config: { scale: 1, mode: 'fan_avg', distribution: 'uniform', seed: null },
            },
            bias_initializer: { class_name: 'Zeros', config: {} },
          },
        },
      ],
    },
  };
}

const dense = (units: number, activation: string): Record<string, unknown> => ({
  class_name: 'Dense',
  config: { name: `dense_${units}`, units, activation, use_bias: true },
});
/** Model of images of 28 x 28 whose vectors travel in five buckets. */
export const deepTopology: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'deep',
    layers: [
      {
        class_name: 'Flatten',
        config: { name: 'flatten', batch_input_shape: [null, 28, 28, 1], dtype: 'float32' },
      },
      dense(16, 'relu'),
      dense(4096, 'relu'),
      dense(10, 'softmax'),
    ],
  },
};
