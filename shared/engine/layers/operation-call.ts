import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { axesOf } from './axes.ts';
import type { Config } from './stock.ts';

/** An operation, with its operands and settings in camelCase. */
export interface OperationCall {
  readonly tf: TF;
  readonly settings: Config;
  /** Whether each operand is a constant, which has no samples. */
  readonly isConstant: readonly boolean[];
}

export type Compute = (call: OperationCall, ...operands: tfjs.Tensor[]) => tfjs.Tensor | tfjs.Tensor[];

export const number = ({ settings }: OperationCall, key: string, standard: number): number =>
  typeof settings[key] === 'number' ? settings[key] : standard;

/** Sentence on a setting that would compute a sample from others. */
export const mixes = (): Error => new Error('it would mix the samples of a batch');

/** Axes of a setting, counted from the first. @throws Error if the samples' axis is among them */
export function axesFor({ settings }: OperationCall, key: string, rank: number): number[] {
  const axes = axesOf(settings[key] as number | number[], rank);
  if (axes.includes(0)) throw mixes();
  if (axes.some((axis) => !(axis > 0 && axis < rank))) throw new Error('its input has fewer axes');
  return axes;
}

export const axisFor = (call: OperationCall, key: string, rank: number): number =>
  axesFor(call, key, rank)[0] as number;

/** @throws Error if an alignment by the last axes would mix samples */
export function checkAligned({ isConstant }: OperationCall, operands: readonly tfjs.Tensor[]): void {
  const ranks = operands.filter((_, i) => isConstant[i] !== true).map(({ rank }) => rank);
  const rank = Math.max(...ranks);
  if (ranks.some((each) => each !== rank)) throw new Error(`its inputs have ${ranks.join(' and ')} axes`);
  const constants = operands.filter((_, i) => isConstant[i] === true);
  if (constants.some(({ shape }) => shape.length > rank || (shape.length === rank && shape[0] !== 1)))
    throw mixes();
}
