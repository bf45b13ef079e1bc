import type { Clock } from '../../shared/util/clock.ts';
import { StandbyChanges } from '../../shared/worker/standby-changes.ts';
import type { WorkerProcessMessage } from './messages.ts';

/** Writes a line. @param fields of the same event in a log as JSON; see docs/log.md */
export type WriteLine = (line: string, fields?: Readonly<Record<string, unknown>>) => void;

export interface MachineReportOptions {
  /** Name of this machine in the run. */
  readonly name: string;
  /** Address of the coordinator, without the token, or the file that has it. */
  readonly url: string;
  readonly clock: Clock;
  /** Prints a line about normal operation. */
  readonly info: WriteLine;
  /** Prints a line about a problem. */
  readonly note: WriteLine;
}

/** Time between two lines about the work. */
const WORK_INTERVAL_MS = 30_000;
/** Retries in a row that are all reported; of later ones only the 8th, 16th, 32nd and so on. */
const MAX_CONSECUTIVE_RETRY_LINES = 6;

type Message<Type> = Extract<WorkerProcessMessage, { type: Type }>;

/** Reports the work of one machine's worker processes in its terminal: one line for all of them. */
export class MachineReport {
  readonly #options: MachineReportOptions;
  /** Lines that were printed once, even if several processes send them. */
  readonly #reportedLines = new Set<string>();
  /** Retries of each process since its last connection. */
  readonly #retries = new Map<string, number>();
  #reportedRetries = 0;
  readonly #standbyChanges = new StandbyChanges();
  #isJoined = false;
  #batchSize = 0;
  #totalSteps: number | null = null;
  /** Total samples. */
  #samples = 0;
  /** Samples since the last line. */
  #recentSamples = 0;
  #step = 0;
  /** Step at the last line. */
  #reportedStep: number | null = null;
  #isIdle = false;
  #cancelTimer: (() => void) | null = null;

  constructor(options: MachineReportOptions) {
    this.#options = options;
  }

  /** @param worker name of the process that sent the message */
  record(worker: string, message: WorkerProcessMessage): void {
    switch (message.type) {
      case 'engine': {
        this.#reportOnce('info', message.text, { event: 'engine' });
        return;
      }
      case 'joined': {
        this.#onJoined(worker, message);
        return;
      }
      case 'computed': {
        this.#onComputed(message);
        return;
      }
      case 'waiting': {
        this.#onWaiting(worker, message);
        return;
      }
      case 'standby': {
        this.#onStandby(worker, message);
        return;
      }
      case 'ended': {
        this.#stopTimer();
        const computed = this.#samples === 0 ? '' : ` Computed ${formatCount(this.#samples)} samples.`;
        const fields = { event: 'ended', reason: message.reason, samples: this.#samples };
        this.#reportOnce('info', `${message.reason}${computed}`, fields, message.reason);
        return;
      }
      case 'refused':
        this.#reportOnce('note', message.reason, { event: 'refused' });
    }
  }

  /** Stops the lines about the work. */
  close(): void {
    this.#stopTimer();
  }

  #onJoined(worker: string, { data, batchSize, totalSteps, ...joined }: Message<'joined'>): void {
    const { name, info, clock } = this.#options;
    const { url = this.#options.url } = joined;
    this.#retries.delete(worker);
    if (this.#isJoined) return;
    this.#isJoined = true;
    this.#reportedRetries = 0;
    this.#batchSize = batchSize;
    this.#totalSteps = totalSteps;
    info(`${name}: joined ${url}, ${data}, batch ${batchSize}`, { event: 'joined', url, data, batchSize });
    this.#cancelTimer ??= clock.after(WORK_INTERVAL_MS, () => this.#reportWork());
  }

  #onComputed({ step, samples }: Message<'computed'>): void {
    this.#reportedStep ??= step;
    this.#step = Math.max(this.#step, step);
    this.#samples += samples;
    this.#recentSamples += samples;
  }

  #onWaiting(worker: string, { reason, waitMs, advice, ...waiting }: Message<'waiting'>): void {
    const { name, note } = this.#options;
    const { url = this.#options.url } = waiting;
    if (advice !== undefined) this.#reportOnce('note', advice, { event: 'noCoordinator', url });
    this.#isJoined = false;
    this.#stopTimer();
    const retries = (this.#retries.get(worker) ?? 0) + 1;
    this.#retries.set(worker, retries);
    if (retries <= this.#reportedRetries) return;
    this.#reportedRetries = retries;
    if (retries > MAX_CONSECUTIVE_RETRY_LINES && !isPowerOfTwo(retries)) return;
    const still = retries > MAX_CONSECUTIVE_RETRY_LINES ? `Still no connection` : 'No connection';
    const wait = `${(waitMs / 1000).toFixed(1)} s`;
    const fields = { event: 'waiting', url, reason, waitMs: Math.round(waitMs) };
    note(`${name}: ${still} to ${url} (${reason}). Trying again in ${wait}.`, fields);
  }

  #onStandby(worker: string, { onStandby, reason }: Message<'standby'>): void {
    const { info, clock } = this.#options;
    if (!this.#standbyChanges.isNews(worker, onStandby, clock.now())) return;
    const state = onStandby ? 'standby' : 'active again';
    info(`${worker}: ${state}. ${reason}`, { event: onStandby ? 'standby' : 'active', worker });
  }

  #reportWork(): void {
    const { name, info, clock } = this.#options;
    this.#cancelTimer = clock.after(WORK_INTERVAL_MS, () => this.#reportWork());
    if (this.#recentSamples === 0) {
      if (!this.#isIdle)
        info(`${name}: connected, no work for this machine at the moment`, { event: 'idle' });
      this.#isIdle = true;
      return;
    }
    const steps = this.#step - (this.#reportedStep ?? this.#step);
    const share = steps === 0 ? null : this.#recentSamples / (steps * this.#batchSize);
    const total = this.#totalSteps === null ? '' : ` of ${formatCount(this.#totalSteps)}`;
    const samplesPerSecond = Math.round((1000 * this.#recentSamples) / WORK_INTERVAL_MS);
    info(
      `${name}: step ${formatCount(this.#step + 1)}${total}, ${formatCount(this.#samples)} samples computed` +
        (share === null ? '' : `, ${Math.min(100, Math.round(100 * share))}% of the batch`) +
        `, ${samplesPerSecond} samples/s`,
      {
        event: 'work',
        step: this.#step + 1,
        totalSteps: this.#totalSteps,
        samples: this.#samples,
        samplesPerSecond,
      },
    );
    this.#isIdle = false;
    this.#recentSamples = 0;
    this.#reportedStep = this.#step;
  }

  /** @param key part of the line that is the same for all processes */
  #reportOnce(level: 'info' | 'note', text: string, fields: object, key = text): void {
    if (this.#reportedLines.has(key)) return;
    this.#reportedLines.add(key);
    this.#options[level](`${this.#options.name}: ${text}`, { ...fields });
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#recentSamples = 0;
    this.#reportedStep = null;
    this.#isIdle = false;
  }
}

const isPowerOfTwo = (count: number): boolean => (count & (count - 1)) === 0;
const formatCount = (count: number): string => count.toLocaleString('en-US');
