import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 wait until five times of what lives is there before it collects the whole heap; for this process, from the next
 * collection on. Each step moves some 5 MB a worker through buffers outside of a heap of 20 MB: by itself V8 collects it all at
 * every step of two workers or more, on as many threads as there are cores, while workers compute on them.
 */
export function growHeap(): void {
  setFlagsFromString('--heap-growing-percent=400');
}
