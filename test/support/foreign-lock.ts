/** Holder of a run's lock on another machine. */
export const foreignHolder = {
  id: 'theirs',
  pid: 12,
  host: 'elsewhere',
  start: null,
  space: 'another machine',
  since: 'some day',
};
