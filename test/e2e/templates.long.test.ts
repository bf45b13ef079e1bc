import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { spawnGradcast } from '../support/worker-process.ts';

const folder = await mkdtemp(join(tmpdir(), 'gradcast-templates-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  ['images', 0.75],
  ['table', 0.9],
  ['text', 0.25],
  ['idx', 0.85],
])('the template %s learns, as it is', async (template, accuracy) => {
  const project = join(folder, template);
  const made = spawnGradcast(['init', project, '--template', template]);
  expect(await made.ended, made.output()).toBe(0);
  const out = join(folder, `${template}-run`);
  const run = spawnGradcast(['train', join(project, 'task.ts'), '--out', out, '--engine', 'wasm']);
  expect(await run.ended, run.output()).toBe(0);
  expect(Number(/Test accuracy: ([\d.]+)/.exec(run.output())?.[1])).toBeGreaterThan(accuracy);
});
