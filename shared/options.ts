import { InvalidArgumentError, Option } from 'commander';

/** How a command says what happens: lines for a person, or JSON for programs. */
const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];
export const logOption = (): Option =>
  new Option('--log <format>', 'how it says what happens: json is an object a line, for programs')
    .choices(LOG_FORMATS)
    .default('text');

/** For commander: a whole number within bounds, or a sentence. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`It takes a whole number ${range}.`);
  };
}

/** For commander: 'auto', or a whole number of at least 1. */
export function countOrAuto(text: string): number | 'auto' {
  return text === 'auto' ? 'auto' : integer(1, 1024)(text);
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000 };

/** For commander: a number of steps, or a time in seconds or minutes. */
export function interval(text: string): { readonly steps: number } | { readonly ms: number } {
  const [, number = '', unit] = /^([1-9]\d{0,6})([sm])?$/.exec(text) ?? [];
  if (number === '') throw new InvalidArgumentError('It takes steps (500), seconds (30s) or minutes (5m).');
  return unit === undefined ? { steps: Number(number) } : { ms: Number(number) * (UNIT_MS[unit] ?? 0) };
}

/** For commander: a part of a whole, from 0 to 1. */
export function part(text: string): number {
  const value = Number(text);
  if (/^[\d.]+$/.test(text) && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('It takes a number from 0 to 1.');
}

const RATE_UNITS: Readonly<Record<string, number>> = { kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/** For commander: bits a second, as tc has them: 20mbit, 1gbit. */
export function bitRate(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(kbit|mbit|gbit)$/.exec(text.toLowerCase()) ?? [];
  const rate = Number(number) * (RATE_UNITS[unit] ?? 0);
  if (rate > 0) return rate;
  throw new InvalidArgumentError('It takes a rate: 500kbit, 100mbit, 1gbit.');
}

/** For commander: a number that is not negative; above 0, if that is asked for. */
export function decimal(least: 'zero' | 'positive' = 'positive'): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[\d.]+$/.test(text) && (least === 'zero' ? value >= 0 : value > 0)) return value;
    throw new InvalidArgumentError(`It takes a number ${least === 'zero' ? 'of 0 or more' : 'above 0'}.`);
  };
}

/**
 * For commander: a secret that workers have to know, as long as a hello may have it. An empty one would let in everybody.
 * @param without when a person is to leave it out
 */
export function token(without: string): (text: string) => string {
  return (text) => {
    if (text.length >= 1 && text.length <= 200) return text;
    throw new InvalidArgumentError(`It takes 1 to 200 characters; leave it out ${without}.`);
  };
}

/** --token of those who come to a coordinator. */
export const knownTokenOption = (): Option =>
  new Option('--token <token>', 'what the coordinator was started with')
    .env('GRADCAST_TOKEN')
    .argParser(token('if the coordinator has none'));
