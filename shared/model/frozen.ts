import type { Topology } from './job.ts';

type Json = Record<string, unknown>;

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * A copy of a Keras topology in which every layer inside a frozen model or wrapper is frozen itself: tfjs-layers forgets the
 * `trainable` of what holds other layers.
 */
export function withFrozenInside(topology: Topology): Topology {
  return copy(topology, false) as Topology;
}

/** @param frozen whether what holds this value is frozen */
function copy(value: unknown, frozen: boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => copy(item, frozen));
  if (!isRecord(value)) return value;
  const { class_name: className, config } = value;
  if (typeof className !== 'string' || !isRecord(config)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copy(item, frozen)]));
  }
  const isFrozen = frozen || config.trainable === false;
  const entries = Object.entries(config).map(([key, item]) => [key, copy(item, isFrozen)]);
  // Initializers and the like have a class and a configuration as well, and are not told.
  const told = isFrozen && (typeof config.name === 'string' || 'trainable' in config);
  return {
    ...value,
    config: { ...(Object.fromEntries(entries) as Json), ...(told ? { trainable: false } : {}) },
  };
}
