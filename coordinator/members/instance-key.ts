import { createHash } from 'node:crypto';

/** A shorter one could be guessed: 16 characters of a random text are some 90 bits. */
const MIN_INSTANCE_LENGTH = 16;

/**
 * What a worker's `instance` is known by. Whoever knows the instance takes the worker's place, so it is a secret of its
 * process: the coordinator keeps its digest, and sends it to no one.
 * @returns null for a worker that says none, or one that could be guessed
 */
export function instanceKey(instance: string | undefined): string | null {
  if (instance === undefined || instance.length < MIN_INSTANCE_LENGTH) return null;
  return createHash('sha256').update(instance).digest('base64');
}
