import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { spawnProgram } from '../support/worker-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const parts = ['bin', 'scripts', 'shared', 'coordinator', 'worker-node', 'worker-browser'];
const files = ['package.json', 'package-lock.json', 'tsconfig.json'];

test('of two first starts at once in one clone, one builds and the other waits for it', async () => {
  const clone = await mkdtemp(join(tmpdir(), 'gradcast-clone-'));
  try {
    for (const part of [...parts, ...files])
      await cp(join(root, part), join(clone, part), { recursive: true });
    await symlink(join(root, 'node_modules'), join(clone, 'node_modules'), 'junction');
    const start = () =>
      spawnProgram([process.execPath, join(clone, 'bin/gradcast.js'), '--version'], process.env);
    const starts = [start(), start()];
    expect(await Promise.all(starts.map(({ ended }) => ended))).toEqual([0, 0]);
    const outputs = starts.map((each) => each.output()).sort();
    expect(outputs[0]).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(outputs[1]).toMatch(/^Another start builds; waiting for it \.\.\.\n\d/);
  } finally {
    await rm(clone, { recursive: true, force: true, maxRetries: 3 });
  }
});
