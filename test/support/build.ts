import { ensureBuilt } from '../../scripts/build.js';
import { forgetPersonalSettings } from './environment.ts';

/** Vitest's global setup: tests that start processes start what a person would. */
export default async function setup(): Promise<void> {
  forgetPersonalSettings(process.env);
  await ensureBuilt();
}
