import type { Clock, AbortSignalLike } from '../../shared/util/clock.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { BenchmarkCase } from '../../shared/engine/benchmark-job.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { openRemoteEngine, type RemoteEngine } from '../../shared/engine/remote-engine/client.ts';
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
import { parallelEngine } from './parallel-engine.ts';
import { benchmarkEngine, withTimeout, type EngineTiming } from './benchmark-engine.ts';
import {
  rankEngines,
  relativeDifference,
  correctSpeed,
  explainChoice,
  type BenchmarkResult,
} from './rank-engines.ts';

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
/** For the first step too, which compiles kernels and shaders. */
const STEPS_TIMEOUT_MS = 10_000;
/** For the steps that are timed, after which no more are begun. */
const TIMED_STEPS_MS = 5_000;
/** Who asks for an engine by name waits for it. */
const OVERRIDE_TIMEOUT_FACTOR = 12;

/**
 * The engines of a tab. It starts with WebAssembly, which is there at once; GPUs, whose first step may take seconds,
 * are tried while that computes, and taken if they are right and faster.
 */
export class TabEngines {
  readonly #options: TabEnginesOptions;
  readonly #results = new Map<BackendName, BenchmarkResult>();
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
   * Tries what was not tried yet.
   * @param present what computes meanwhile
   * @param signal ends it; what has not failed is tried again the next time
   * @returns an engine that is right and faster; null where there is none, or it was ended
   */
  async findFaster(present: BackendName | null, signal?: AbortSignalLike): Promise<OpenedEngine | null> {
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
    return this.#selectFastest(present, opened);
  }

  /** The next best after an engine was lost: the same once more, unless it does not open. */
  async reopen(lost: BackendName): Promise<OpenedEngine> {
    const ranked = [...this.#results.values()]
      .filter((outcome) => correctSpeed(outcome) !== null)
      .toSorted((a, b) => (correctSpeed(b) ?? 0) - (correctSpeed(a) ?? 0))
      .map(({ backend }) => backend);
    for (const backend of new Set([lost, ...ranked, 'wasm' as const])) {
      try {
        return backend === 'wasm' ? await this.#openWasm() : await this.#benchmarkGpu(backend);
      } catch (error) {
        this.#results.set(backend, { backend, threads: 1, problem: errorMessage(error) });
      }
    }
    throw new Error(`No engine of this browser can be opened again. ${this.#explain()}`);
  }

  /** One more WebAssembly, on one thread, for what is done beside the shards. */
  async openExtra(): Promise<Pick<OpenedEngine, 'engine' | 'lost' | 'close'>> {
    const engines = await this.#open('wasm', 1);
    return { engine: this.#combine(engines), ...lifeOf(engines) };
  }

  /** What all that was tried has shown. */
  describe(): string {
    return this.#explain();
  }

  #selectFastest(
    present: BackendName | null,
    opened: ReadonlyMap<BackendName, OpenedEngine>,
  ): OpenedEngine | null {
    const outcomes = [...opened.keys()].flatMap((backend) => this.#results.get(backend) ?? []);
    const presentOutcome = present === null ? null : (this.#results.get(present) ?? null);
    const taken = rankEngines(presentOutcome, outcomes);
    const winner = taken === null || taken === presentOutcome ? undefined : opened.get(taken.backend);
    for (const engine of opened.values()) if (engine !== winner) engine.close();
    return winner === undefined ? null : { ...winner, why: this.#explain() };
  }

  #explain(): string {
    return (
      explainChoice([...this.#results.values()], this.#pending) +
      describeInsecureContext(this.#options.capabilities)
    );
  }

  /** Opens as many engines as could be used at most, keeps as many as are fastest. */
  async #openWasm(): Promise<OpenedEngine> {
    const { capabilities, override, clock, benchmarkCase } = this.#options;
    const counts = threadCounts(capabilities, override);
    const engines = await this.#open('wasm', counts[0] ?? 1);
    try {
      let fastest: { readonly threads: number; readonly trial: EngineTiming } | null = null;
      for (const threads of counts) {
        const trial = await withTimeout(
          clock,
          STEPS_TIMEOUT_MS * this.#timeoutFactor,
          'its first steps',
          benchmarkEngine(this.#combine(engines.slice(0, threads)), benchmarkCase, TIMED_STEPS_MS, clock),
        );
        if (fastest === null || trial.samplesPerSecond > fastest.trial.samplesPerSecond)
          fastest = { threads, trial };
      }
      if (fastest === null) throw new Error('it was not tried');
      const { threads, trial } = fastest;
      engines.splice(threads).forEach((engine) => engine.close());
      this.#reference = trial.gradient;
      this.#results.set('wasm', {
        backend: 'wasm',
        threads,
        samplesPerSecond: trial.samplesPerSecond,
        difference: null,
      });
      return this.#opened(engines, trial);
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
      const trial = await withTimeout(
        clock,
        STEPS_TIMEOUT_MS * this.#timeoutFactor,
        'its first steps',
        trying,
        signal,
      );
      const difference =
        this.#reference === null ? null : relativeDifference(trial.gradient, this.#reference);
      const outcome = { backend, threads: 1, samplesPerSecond: trial.samplesPerSecond, difference };
      this.#results.set(backend, outcome);
      return this.#opened(engines, trial);
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
      measured === undefined ? '' : `, ${Math.round(measured.samplesPerSecond)} samples/s in a trial`;
    const info = { ...first.info, device: device + speed, threads: engines.length };
    const allocateShared = this.#allocateShared(first.info.backend);
    return parallelEngine({ engines, info, allocateShared });
  }

  /** WebGL and WebGPU upload nothing from shared memory. */
  #allocateShared(backend: string): AllocateShared | null {
    return backend === 'wasm' ? this.#options.allocateShared : null;
  }

  #opened(engines: readonly RemoteEngine[], trial: EngineTiming): OpenedEngine {
    const engine = this.#combine(engines, trial);
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

/** An engine that computes, and why it was taken. */
export interface OpenedEngine {
  readonly engine: Engine;
  readonly backend: BackendName;
  readonly why: string;
  /** Settles with the reason when it can compute no more. */
  readonly lost: Promise<string>;
  close(): void;
}
