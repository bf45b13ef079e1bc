import type { Programs } from './package-manager.js';

/** Programs of the operating system that some long tests need, by the name that `get-programs.js` takes. */
export const testPrograms: Readonly<Record<'containers' | 'shells' | 'slurm', Programs>>;
