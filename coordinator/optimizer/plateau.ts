import * as v from 'valibot';
import type { ScheduleSettings } from '../../shared/model/optimizer-settings.ts';
import { metricOf, type EpochRecord } from '../../shared/protocol/messages.ts';
import { improvementSign } from '../../shared/model/metric-direction.ts';
import { f32 } from './update-rule.ts';
import type { SchemaFields } from '../../shared/util/schema-fields.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** State of a plateau schedule after an epoch, which checkpoints contain. */
export interface PlateauState {
  readonly learningRate: number;
  /** Best score so far; null before the first epoch. */
  readonly best: number | null;
  /** Epochs since then. */
  readonly waited: number;
  /** Epochs in which no reduction follows. */
  readonly cooldown: number;
}
/** @internal */
export const plateauStateSchema: v.GenericSchema<unknown, PlateauState> = v.object({
  learningRate: v.pipe(v.number(), v.finite(), v.minValue(0)),
  best: v.nullable(v.number()),
  waited: count,
  cooldown: count,
} satisfies SchemaFields<PlateauState>);
type PlateauSettings = Extract<ScheduleSettings, { readonly name: 'plateau' }>;

/** Reduces the learning rate when a score stops improving (keras 3 callbacks/reduce_lr_on_plateau.py). */
export class Plateau {
  readonly #settings: PlateauSettings;
  /** 1 if larger scores are better. */
  readonly #sign: 1 | -1;
  #state: PlateauState;

  constructor(settings: PlateauSettings, learningRate: number) {
    this.#settings = settings;
    // A score whose direction is unknown is refused when settings are resolved.
    this.#sign = improvementSign(settings.monitor, settings.mode ?? 'auto') ?? -1;
    this.#state = { learningRate: f32(learningRate), best: null, waited: 0, cooldown: 0 };
  }

  get state(): PlateauState {
    return this.#state;
  }

  /** Continues from the state of a checkpoint. */
  restore(state: PlateauState): void {
    this.#state = state;
  }

  /** Takes an epoch's scores into account. Call once after each epoch. */
  endEpoch(record: EpochRecord): void {
    const { monitor, factor, patience, cooldown, minLearningRate } = this.#settings;
    const score = metricOf(record, monitor);
    if (score === null) throw new Error(`The epoch has no ${monitor}, which the schedule monitors.`);
    let { learningRate, best, waited, cooldown: left } = this.#state;
    if (left > 0) {
      left--;
      waited = 0;
    }
    if (this.#isImprovement(score, best)) {
      best = score;
      waited = 0;
    } else if (left === 0) {
      waited++;
      if (waited >= patience && learningRate > f32(minLearningRate)) {
        learningRate = f32(Math.max(learningRate * factor, minLearningRate));
        left = cooldown;
        waited = 0;
      }
    }
    this.#state = { learningRate, best, waited, cooldown: left };
  }

  #isImprovement(score: number, best: number | null): boolean {
    const { minDelta } = this.#settings;
    if (best === null) return true;
    return this.#sign === 1 ? score - minDelta > best : score + minDelta < best;
  }
}
