import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { npmErrorMessage } from '../../../../worker-node/engine/install/npm.ts';
import { installFromNpm } from '../../../../worker-node/engine/install/install-methods.ts';

test("the package's own download is aborted when it stalls", async () => {
  const staging = await mkdtemp(join(tmpdir(), 'gradcast-stall-'));
  const waiting = "node -e 'setInterval(() => undefined, 1000)'";
  await writeFile(
    join(staging, 'package.json'),
    JSON.stringify({ name: 'engine', scripts: { 'download-addon': waiting } }),
  );
  const report = { print: () => undefined, update: () => undefined };
  const { signal } = new AbortController();
  const options = {
    staging,
    wheelsDir: staging,
    variant: 'cpu',
    signal,
    report,
    stallTimeoutMs: 1000,
  } as const;
  const outcome = await installFromNpm(options, { download: true, wheel: null });
  expect(outcome.failure).toBe('nothing was received for 1 s; aborted');
  await rm(staging, { recursive: true, force: true });
});

test('an unreachable registry has a sentence; other failures keep the message of npm', () => {
  const sentence = (...lines: string[]): string => npmErrorMessage('tfjs-node', { code: 1, lines });
  expect(sentence('npm error code EAI_AGAIN', 'npm error A complete log of this run is in: x')).toBe(
    'npm cannot reach its registry to install tfjs-node (EAI_AGAIN).',
  );
  expect(sentence('npm error code ENOSPC')).toContain('ENOSPC');
});
