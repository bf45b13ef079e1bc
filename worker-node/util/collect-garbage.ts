import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { readonly type: 'minor' | 'major' }) => void;

/**
 * Creates a function that collects young garbage, to be called right after a gradient is sent. A step allocates megabytes of
 * short-lived buffers, and V8 would run full collections in the middle of computations.
 */
export function createGarbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  return () => collect({ type: 'minor' });
}
