import type { Clock, StopSignal } from '../../shared/clock.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Sample } from '../../shared/engine/sample-job.ts';
import { messageOf } from '../../shared/error-text.ts';
import { advice, gpuCandidates, threadCounts, type Surroundings, type Wish } from './candidates.ts';
import { EngineProcess, type EngineWorker } from './engine-process.ts';
import type { BackendName } from './messages.ts';
import type { OpenedEngine } from './opened-engine.ts';
import { parallelEngine } from './parallel-engine.ts';
import { tryEngine, within, type Trial } from './trial.ts';
import { best, differenceOf, speedOf, whyText, type Outcome } from './verdict.ts';

export interface TabEnginesOptions {
  readonly startWorker: () => EngineWorker;
  readonly sharedFloats: ((length: number) => Float32Array) | null;
  readonly surroundings: Surroundings;
  readonly wish: Wish;
  readonly sample: Sample;
  readonly clock: Clock;
}

const START_WITHIN_MS = 10_000;
/** For the first step too, which compiles kernels and shaders. */
const STEPS_WITHIN_MS = 10_000;
/** For the steps that are timed, after which no more are begun. */
const TIMED_MS = 5_000;
/** Who asks for an engine by name waits for it. */
const PATIENCE = 12;

/**
 * The engines of a tab. It starts with WebAssembly, which is there at once; GPUs, whose first step may take seconds,
 * are tried while that computes, and taken if they are right and faster.
 */
export class TabEngines {
  readonly #options: TabEnginesOptions;
  readonly #outcomes = new Map<BackendName, Outcome>();
  readonly #patience: number;
  #pending: BackendName[];
  #reference: Float32Array | null = null;

  constructor(options: TabEnginesOptions) {
    this.#options = options;
    this.#patience = options.wish.backend === null ? 1 : PATIENCE;
    this.#pending = gpuCandidates(options.surroundings, options.wish);
  }

  /** @throws Error with a sentence if this browser has no engine */
  async first(): Promise<OpenedEngine> {
    const { backend } = this.#options.wish;
    if (backend === null || backend === 'wasm') {
      try {
        return await this.#openWasm();
      } catch (error) {
        this.#outcomes.set('wasm', { backend: 'wasm', threads: 1, problem: messageOf(error) });
      }
    }
    const other = await this.better(null);
    if (other !== null) return other;
    throw new Error(`This browser cannot compute. ${this.#why()} Update the browser or try another one.`);
  }

  /**
   * Tries what was not tried yet.
   * @param present what computes meanwhile
   * @param signal ends it; what has not failed is tried again the next time
   * @returns an engine that is right and faster; null where there is none, or it was ended
   */
  async better(present: BackendName | null, signal?: StopSignal): Promise<OpenedEngine | null> {
    const opened = new Map<BackendName, OpenedEngine>();
    const isStopped = (): boolean => signal?.aborted === true;
    const done = (backend: BackendName): void => {
      this.#pending = this.#pending.filter((name) => name !== backend);
    };
    for (const backend of this.#pending) {
      if (isStopped()) break;
      try {
        opened.set(backend, await this.#tryGpu(backend, signal));
      } catch (error) {
        if (isStopped()) break;
        this.#outcomes.set(backend, { backend, threads: 1, problem: messageOf(error) });
        done(backend);
      }
    }
    if (isStopped()) {
      opened.forEach((engine) => engine.close());
      return null;
    }
    [...opened.keys()].forEach(done);
    return this.#take(present, opened);
  }

  /** The next best after an engine was lost: the same once more, unless it does not open. */
  async again(lost: BackendName): Promise<OpenedEngine> {
    const ranked = [...this.#outcomes.values()]
      .filter((outcome) => speedOf(outcome) !== null)
      .toSorted((a, b) => (speedOf(b) ?? 0) - (speedOf(a) ?? 0))
      .map(({ backend }) => backend);
    for (const backend of new Set([lost, ...ranked, 'wasm' as const])) {
      try {
        return backend === 'wasm' ? await this.#openWasm() : await this.#tryGpu(backend);
      } catch (error) {
        this.#outcomes.set(backend, { backend, threads: 1, problem: messageOf(error) });
      }
    }
    throw new Error(`No engine of this browser can be opened again. ${this.#why()}`);
  }

  /** One more WebAssembly, on one thread, for what is done beside the shards. */
  async another(): Promise<Pick<OpenedEngine, 'engine' | 'lost' | 'close'>> {
    const processes = await this.#open('wasm', 1);
    return {
      engine: this.#engineOf(processes),
      lost: Promise.race(processes.map(({ lost }) => lost)),
      close: () => processes.forEach((process) => process.end()),
    };
  }

  /** What all that was tried has shown. */
  describe(): string {
    return this.#why();
  }

  #take(present: BackendName | null, opened: ReadonlyMap<BackendName, OpenedEngine>): OpenedEngine | null {
    const outcomes = [...opened.keys()].flatMap((backend) => this.#outcomes.get(backend) ?? []);
    const presentOutcome = present === null ? null : (this.#outcomes.get(present) ?? null);
    const taken = best(presentOutcome, outcomes);
    const winner = taken === null || taken === presentOutcome ? undefined : opened.get(taken.backend);
    for (const engine of opened.values()) if (engine !== winner) engine.close();
    return winner === undefined ? null : { ...winner, why: this.#why() };
  }

  #why(): string {
    return whyText([...this.#outcomes.values()], this.#pending) + advice(this.#options.surroundings);
  }

  /** Opens as many processes as could be used at most, keeps as many as are fastest. */
  async #openWasm(): Promise<OpenedEngine> {
    const { surroundings, wish, clock, sample } = this.#options;
    const counts = threadCounts(surroundings, wish);
    const processes = await this.#open('wasm', counts[0] ?? 1);
    try {
      let fastest: { readonly threads: number; readonly trial: Trial } | null = null;
      for (const threads of counts) {
        const trial = await within(
          clock,
          STEPS_WITHIN_MS * this.#patience,
          'its first steps',
          tryEngine(this.#engineOf(processes.slice(0, threads)), sample, TIMED_MS, clock),
        );
        if (fastest === null || trial.samplesPerSecond > fastest.trial.samplesPerSecond)
          fastest = { threads, trial };
      }
      if (fastest === null) throw new Error('it was not tried');
      const { threads, trial } = fastest;
      processes.splice(threads).forEach((process) => process.end());
      this.#reference = trial.gradient;
      this.#outcomes.set('wasm', {
        backend: 'wasm',
        threads,
        samplesPerSecond: trial.samplesPerSecond,
        difference: null,
      });
      return this.#opened(processes, trial);
    } catch (error) {
      processes.forEach((process) => process.end());
      throw error;
    }
  }

  async #tryGpu(backend: BackendName, signal?: StopSignal): Promise<OpenedEngine> {
    const { clock, sample } = this.#options;
    const processes = await this.#open(backend, 1, signal);
    try {
      const trying = tryEngine(this.#engineOf(processes), sample, TIMED_MS, clock);
      const trial = await within(clock, STEPS_WITHIN_MS * this.#patience, 'its first steps', trying, signal);
      const difference = this.#reference === null ? null : differenceOf(trial.gradient, this.#reference);
      const outcome = { backend, threads: 1, samplesPerSecond: trial.samplesPerSecond, difference };
      this.#outcomes.set(backend, outcome);
      return this.#opened(processes, trial);
    } catch (error) {
      processes.forEach((process) => process.end());
      throw error;
    }
  }

  /** Opens `count` processes, all or none. */
  async #open(backend: BackendName, count: number, signal?: StopSignal): Promise<EngineProcess[]> {
    const { startWorker, clock } = this.#options;
    const workers = Array.from({ length: count }, startWorker);
    const opening = Promise.all(workers.map((worker) => EngineProcess.open(worker, backend)));
    try {
      return await within(clock, START_WITHIN_MS * this.#patience, 'its start', opening, signal);
    } catch (error) {
      workers.forEach((worker) => worker.end());
      throw error;
    }
  }

  #engineOf(processes: readonly EngineProcess[], measured?: Trial): Engine {
    const [first] = processes;
    if (first === undefined) throw new Error('no engine was opened');
    const { device } = first.info;
    const speed =
      measured === undefined ? '' : `, ${Math.round(measured.samplesPerSecond)} samples/s in a trial`;
    const info = { ...first.info, device: device + speed, threads: processes.length };
    // What WebGL and WebGPU upload must not lie in shared memory.
    const sharedFloats = first.info.backend === 'wasm' ? this.#options.sharedFloats : null;
    return parallelEngine({ processes, info, sharedFloats });
  }

  #opened(processes: readonly EngineProcess[], trial: Trial): OpenedEngine {
    const engine = this.#engineOf(processes, trial);
    return {
      engine,
      backend: engine.info.backend as BackendName,
      why: this.#why(),
      lost: Promise.race(processes.map(({ lost }) => lost)),
      close: () => processes.forEach((process) => process.end()),
    };
  }
}
