import { InvalidArgumentError } from 'commander';

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
