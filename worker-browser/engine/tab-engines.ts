import type { Clock, AbortSignalLike } from '../../shared/util/clock.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { BenchmarkCase } from '../../shared/engine/benchmark-job.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { relativeDifference } from '../../shared/engine/gradient-tolerance.ts';
import { openRemoteEngine, type RemoteEngine } from '../../shared/engine/remote-engine/client.ts';
import { parallelEngine } from '../../shared/engine/remote-engine/parallel-engine.ts';
import type { Port } from '../../shared/engine/remote-engine/messages.ts';
import type { AllocateShared } from '../../shared/engine/remote-engine/weights-channel.ts';
import {
  describeInsecureContext,
  gpuCandidates,
  threadCounts,
  type BackendName,
  type BrowserCapabilities,
  type EngineOverride,
} from './backend-candidates.ts';
import { benchmarkEngine, withTimeout, type EngineTiming } from './benchmark-engine.ts';
import { rankEngines, correctSpeed, explainChoice, type BenchmarkResult } from './rank-engines.ts';

export interface TabEnginesOptions {
  readonly startWorker: () => Port;
  /** Null if the browser has no shared memory. */
  readonly allocateShared: AllocateShared | null;
  readonly capabilities: BrowserCapabilities;
  readonly override: EngineOverride;
  readonly benchmarkCase: BenchmarkCase;
  readonly clock: Clock;
}

const START_TIMEOUT_MS = 10_000;
/** Limit for all steps of a benchmark; the first step compiles kernels and shaders. */
const STEPS_TIMEOUT_MS = 10_000;
/** Time after which no further timed step starts. */
const TIMED_STEPS_MS = 5_000;
/** Losses after which a GPU backend is opened again. */
const MAX_REOPENED_LOSSES = 1;
/** Factor of all timeouts for an engine that the user has chosen. */
const OVERRIDE_TIMEOUT_FACTOR = 12;

/**
 * Engines of a tab. A tab starts with WebAssembly, which opens quickly. GPU backends, whose first step may take seconds, are
 * benchmarked while it computes, and used if they are correct and faster.
 */
export class TabEngines {
  readonly #options: TabEnginesOptions;
  readonly #results = new Map<BackendName, BenchmarkResult>();
  readonly #losses = new Map<BackendName, number>();
  readonly #timeoutFactor: number;
  #pending: BackendName[];
  #reference: Float32Array | null = null;

  constructor(options: TabEnginesOptions) {
    this.#options = options;
    this.#timeoutFactor = options.override.backend === null ? 1 : OVERRIDE_TIMEOUT_FACTOR;
    this.#pending = gpuCandidates(options.capabilities, options.override);
  }

  /** @throws Error with a sentence if this browser has no engine */
  async openFirst(): Promise<OpenedEngine> {
    const { backend } = this.#options.override;
    if (backend === null || backend === 'wasm') {
      try {
        return await this.#openWasm();
      } catch (error) {
        this.#results.set('wasm', { backend: 'wasm', threads: 1, problem: errorMessage(error) });
      }
    }
    const other = await this.findFaster(null);
    if (other !== null) return other;
    throw new Error(`This browser cannot compute. ${this.#explain()} Update the browser or try another one.`);
  }

  /**
   * Benchmarks the remaining backends.
   * @param current backend that computes meanwhile
   * @param signal stops the benchmarks; backends that have not failed are benchmarked again the next time
   * @returns an engine that is correct and faster; null if there is none, or the signal was aborted
   */
  async findFaster(current: BackendName | null, signal?: AbortSignalLike): Promise<OpenedEngine | null> {
    const opened = new Map<BackendName, OpenedEngine>();
    const isStopped = (): boolean => signal?.aborted === true;
    const done = (backend: BackendName): void => {
      this.#pending = this.#pending.filter((name) => name !== backend);
    };
    for (const backend of this.#pending) {
      if (isStopped()) break;
      try {
        opened.set(backend, await this.#benchmarkGpu(backend, signal));
      } catch (error) {
        if (isStopped()) break;
        this.#results.set(backend, { backend, threads: 1, problem: errorMessage(error) });
        done(backend);
      }
    }
    if (isStopped()) {
      opened.forEach((engine) => engine.close());
      return null;
    }
    [...opened.keys()].forEach(done);
    return this.#selectFastest(current, opened);
  }

  /**
   * Opens the next best engine after one was lost: the same backend again, if it opens and was lost for the first time. A second
   * loss may be due to an operation that it cannot compute.
   */
  async reopen(lost: BackendName): Promise<OpenedEngine> {
    this.#losses.set(lost, (this.#losses.get(lost) ?? 0) + 1);
    const mayReopen = (backend: BackendName): boolean =>
      backend === 'wasm' || (this.#losses.get(backend) ?? 0) <= MAX_REOPENED_LOSSES;
    const ranked = [...this.#results.values()]
      .filter((result) => correctSpeed(result) !== null)
      .toSorted((a, b) => (correctSpeed(b) ?? 0) - (correctSpeed(a) ?? 0))
      .map(({ backend }) => backend);
    for (const backend of new Set([lost, ...ranked, 'wasm' as const].filter(mayReopen))) {
      try {
        return backend === 'wasm' ? await this.#openWasm() : await this.#benchmarkGpu(backend);
      } catch (error) {
        this.#results.set(backend, { backend, threads: 1, problem: errorMessage(error) });
      }
    }
    throw new Error(`No engine of this browser can be opened again. ${this.#explain()}`);
  }

  /** Opens another WebAssembly engine with one thread, for work beside the shards. */
  async openExtra(): Promise<Pick<OpenedEngine, 'engine' | 'lost' | 'close'>> {
    const engines = await this.#open('wasm', 1);
    return { engine: this.#combine(engines), ...lifeOf(engines) };
  }

  /** Describes the results of all benchmarks. */
  describe(): string {
    return this.#explain();
  }

  #selectFastest(
    current: BackendName | null,
    opened: ReadonlyMap<BackendName, OpenedEngine>,
  ): OpenedEngine | null {
    const results = [...opened.keys()].flatMap((backend) => this.#results.get(backend) ?? []);
    const currentResult = current === null ? null : (this.#results.get(current) ?? null);
    const best = rankEngines(currentResult, results);
    const winner = best === null || best === currentResult ? undefined : opened.get(best.backend);
    for (const engine of opened.values()) if (engine !== winner) engine.close();
    return winner === undefined ? null : { ...winner, why: this.#explain() };
  }

  #explain(): string {
    return (
      explainChoice([...this.#results.values()], this.#pending) +
      describeInsecureContext(this.#options.capabilities)
    );
  }

  /** Opens the largest number of engines, and keeps the number that is fastest. */
  async #openWasm(): Promise<OpenedEngine> {
    const { capabilities, override, clock, benchmarkCase } = this.#options;
    const counts = threadCounts(capabilities, override);
    const engines = await this.#open('wasm', counts[0] ?? 1);
    try {
      let fastest: { readonly threads: number; readonly timing: EngineTiming } | null = null;
      for (const threads of counts) {
        const timing = await withTimeout(
          clock,
          STEPS_TIMEOUT_MS * this.#timeoutFactor,
          'its first steps',
          benchmarkEngine(this.#combine(engines.slice(0, threads)), benchmarkCase, TIMED_STEPS_MS, clock),
        );
        if (fastest === null || timing.samplesPerSecond > fastest.timing.samplesPerSecond)
          fastest = { threads, timing };
      }
      if (fastest === null) throw new Error('it was not benchmarked');
      const { threads, timing } = fastest;
      engines.splice(threads).forEach((engine) => engine.close());
      this.#reference = timing.gradient;
      this.#results.set('wasm', {
        backend: 'wasm',
        threads,
        samplesPerSecond: timing.samplesPerSecond,
        difference: null,
      });
      return this.#opened(engines, timing);
    } catch (error) {
      engines.forEach((engine) => engine.close());
      throw error;
    }
  }

  async #benchmarkGpu(backend: BackendName, signal?: AbortSignalLike): Promise<OpenedEngine> {
    const { clock, benchmarkCase } = this.#options;
    const engines = await this.#open(backend, 1, signal);
    try {
      const trying = benchmarkEngine(this.#combine(engines), benchmarkCase, TIMED_STEPS_MS, clock);
      const timing = await withTimeout(
        clock,
        STEPS_TIMEOUT_MS * this.#timeoutFactor,
        'its first steps',
        trying,
        signal,
      );
      const difference =
        this.#reference === null ? null : relativeDifference(timing.gradient, this.#reference);
      const result = { backend, threads: 1, samplesPerSecond: timing.samplesPerSecond, difference };
      this.#results.set(backend, result);
      return this.#opened(engines, timing);
    } catch (error) {
      engines.forEach((engine) => engine.close());
      throw error;
    }
  }

  /** Opens `count` engines, all or none. */
  async #open(backend: BackendName, count: number, signal?: AbortSignalLike): Promise<RemoteEngine[]> {
    const { startWorker, clock } = this.#options;
    const allocateShared = this.#allocateShared(backend);
    const note = (): void => undefined;
    const ports = Array.from({ length: count }, startWorker);
    const opening = Promise.all(
      ports.map((port) => openRemoteEngine({ port, choice: backend, allocateShared, note })),
    );
    try {
      return await withTimeout(clock, START_TIMEOUT_MS * this.#timeoutFactor, 'its start', opening, signal);
    } catch (error) {
      ports.forEach((port) => port.end());
      throw error;
    }
  }

  #combine(engines: readonly RemoteEngine[], measured?: EngineTiming): Engine {
    const [first] = engines;
    if (first === undefined) throw new Error('no engine was opened');
    const { device } = first.info;
    const speed =
      measured === undefined
        ? ''
        : `, ${Math.round(measured.samplesPerSecond).toLocaleString('en-US')} samples/s in a benchmark`;
    const info = { ...first.info, device: device + speed, threads: engines.length };
    const allocateShared = this.#allocateShared(first.info.backend);
    return parallelEngine({ engines, info, allocateShared });
  }

  /** WebGL and WebGPU cannot upload from shared memory. */
  #allocateShared(backend: string): AllocateShared | null {
    return backend === 'wasm' ? this.#options.allocateShared : null;
  }

  #opened(engines: readonly RemoteEngine[], timing: EngineTiming): OpenedEngine {
    const engine = this.#combine(engines, timing);
    return {
      engine,
      backend: engine.info.backend as BackendName,
      why: this.#explain(),
      ...lifeOf(engines),
    };
  }
}

/** Life of engines that are used as one: it ends with the first that is lost. */
const lifeOf = (engines: readonly RemoteEngine[]): Pick<OpenedEngine, 'lost' | 'close'> => ({
  lost: Promise.race(engines.map(({ lost }) => lost)).then(({ reason }) => reason),
  close: () => engines.forEach((engine) => engine.close()),
});

/** Engine that computes, and why it was chosen. */
export interface OpenedEngine {
  readonly engine: Engine;
  readonly backend: BackendName;
  readonly why: string;
  /** Resolves with the reason when the engine is lost. */
  readonly lost: Promise<string>;
  close(): void;
}
