/** Name of an option in an error, by its key: `schedule.decaySteps`. */
export type OptionName = (key: string) => string;

/** Name of an option of the library: its key. */
export const keyName: OptionName = (key) => key;

/** Name with hyphens: `cosine-restarts` for `cosineRestarts`. */
export const kebabCase = (name: string): string =>
  name.replace(/[A-Z]|\d/g, (letter) => `-${letter.toLowerCase()}`);

/** Flags that are not named like their keys. */
const FLAGS: Readonly<Record<string, string>> = {
  name: '--optimizer',
  'data.source': '--data',
  'data.test': '--test-data',
  'schedule.name': '--schedule',
  'ema.momentum': '--ema',
  'ema.overwriteSteps': '--ema-overwrite',
};

/** Name of an option of the command line: `--decay-steps` for `schedule.decaySteps`. */
export const flagName: OptionName = (key) => {
  const words = key.split('.').filter((word) => !/^\d+$/.test(word));
  return FLAGS[key] ?? `--${kebabCase(words.at(-1) ?? key)}`;
};
