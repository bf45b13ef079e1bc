import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects all garbage of this process, so that the memory in use can be measured. */
export function collectGarbage(): void {
  collect();
  collect();
}
