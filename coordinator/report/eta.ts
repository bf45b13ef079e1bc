import type { Clock } from '../../shared/util/clock.ts';

/** Remaining training time. */
export interface Eta {
  /** Seconds to the last step of this epoch. */
  readonly epochSeconds: number;
  /** Seconds to the end of the last epoch, including evaluations on the test data. */
  readonly runSeconds: number;
}

/** Number of steps in the throughput's average: few enough that a new worker or engine shows soon. */
const RECENT_STEPS = 100;
/** Number of first steps that are left out: the first one waits for engines to be built. */
const WARMUP_STEPS = 3;

interface StepTime {
  readonly step: number;
  readonly atMs: number;
}

/** Forecasts the end of an epoch and of the run from the duration of recent steps. */
export class EtaForecast {
  readonly #clock: Clock;
  /** Start of this epoch, then its recent steps. */
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

  /** @param step number of steps done in this epoch; in a resumed run, the first report may be of a later step */
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

  /** Called after the evaluation on the test data. */
  epochFinished(): void {
    const last = this.#stepTimes.at(-1);
    if (last !== undefined) this.#validationMs = this.#clock.now() - last.atMs;
  }

  /** Forecast from the steps so far; 0 before the first step. */
  get eta(): Eta {
    const epochMs = this.#msPerStep * (this.#steps - this.#step);
    const laterMs = this.#epochsLeft * (this.#msPerStep * this.#steps + this.#validationMs);
    return { epochSeconds: epochMs / 1000, runSeconds: (epochMs + this.#validationMs + laterMs) / 1000 };
  }
}
