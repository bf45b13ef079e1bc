import type { Clock } from '../../shared/util/clock.ts';

/** Time that training still takes, in seconds. */
export interface Eta {
  /** To the last step of this epoch. */
  readonly epochSeconds: number;
  /** To the end of the last epoch, with what is measured on the test data after each. */
  readonly runSeconds: number;
}

/** Steps that the throughput is taken over: few enough that workers that join or an engine that is replaced show soon. */
const RECENT_STEPS = 100;
/** The first step of a run waits for engines to be built, which says nothing of the others. */
const WARMUP_STEPS = 3;

interface StepTime {
  readonly step: number;
  readonly atMs: number;
}

/** Forecasts the end of an epoch and of the run from the duration of recent steps. */
export class EtaForecast {
  readonly #clock: Clock;
  /** The start of this epoch, then its recent steps. */
  #stepTimes: StepTime[] = [];
  #start: StepTime | null = null;
  #startedMs: number;
  #epochsLeft = 0;
  #steps = 0;
  #step = 0;
  #msPerStep = 0;
  #validationMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.now();
  }

  epochStarted(epoch: number, epochs: number, steps: number): void {
    this.#epochsLeft = epochs - epoch;
    this.#steps = steps;
    this.#step = 0;
    this.#stepTimes = [];
    this.#start = null;
    this.#startedMs = this.#clock.now();
  }

  /** @param step done in this epoch, from 1; where a run resumes, the first that is reported may be a later one */
  stepFinished(step: number): void {
    const atMs = this.#clock.now();
    if (this.#stepTimes.length === 0) {
      this.#start = { step: step - 1, atMs: this.#startedMs };
      this.#stepTimes.push(this.#start);
    }
    this.#stepTimes.push({ step, atMs });
    const [first] = this.#stepTimes;
    const isWarm = first === this.#start && this.#stepTimes.length > WARMUP_STEPS;
    if (isWarm || this.#stepTimes.length > RECENT_STEPS) this.#stepTimes.shift();
    const from = this.#stepTimes[0] ?? { step: 0, atMs };
    this.#msPerStep = (atMs - from.atMs) / (step - from.step);
    this.#step = step;
  }

  /** The test data has just been measured with the weights of the epoch's last step. */
  epochFinished(): void {
    const last = this.#stepTimes.at(-1);
    if (last !== undefined) this.#validationMs = this.#clock.now() - last.atMs;
  }

  /** Forecast from the steps so far; 0 before the first one. */
  get eta(): Eta {
    const epochMs = this.#msPerStep * (this.#steps - this.#step);
    const laterMs = this.#epochsLeft * (this.#msPerStep * this.#steps + this.#validationMs);
    return { epochSeconds: epochMs / 1000, runSeconds: (epochMs + this.#validationMs + laterMs) / 1000 };
  }
}
