import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import { adam, adamDefaults, type AdamOptions } from './adam.ts';
import type { UpdateRule } from './update-rule.ts';

/** Options of AdamW: those of Adam, with a weight decay by default. */
export interface AdamWOptions extends Omit<AdamOptions, 'name' | 'weightDecay'> {
  readonly name: 'adamw';
  /** Part of each weight, times the learning rate, that is taken off in each update; null for none. @default 0.004 */
  readonly weightDecay?: number | null;
}

/** Keras' defaults. */
export const adamwDefaults = { ...adamDefaults, weightDecay: 0.004 };

/**
 * AdamW (keras 3 optimizers/adamw.py), after Loshchilov and Hutter, "Decoupled weight decay regularization" (arXiv:1711.05101):
 * Adam, before which each weight loses a part of itself:
 *
 *     w = w - w weightDecay learningRate
 *
 * The decay is done around the rule, as for every optimizer (optimizer.ts).
 */
export const adamw = (settings: SettingsOf<'adamw'>): UpdateRule => adam(settings);
