import { ensureBuilt } from '../../scripts/build.js';

/** Vitest's global setup: tests that start processes start what a person would. */
export default async function setup(): Promise<void> {
  await ensureBuilt();
}
