import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { readonly type: 'minor' | 'major' }) => void;

/**
 * A quick collection of young garbage, for moments in which nobody waits: right after a gradient has left. A step makes
 * megabytes of buffers that die at once, and V8 would answer that pressure with full collections in the middle of
 * computations.
 */
export function createGarbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  return () => collect({ type: 'minor' });
}
