import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'gradcast-slurm-'))));
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs a script of deploy/slurm/ with a program in the place of gradcast, which prints its arguments and number of workers. */
function runScript(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const program = join(folder, 'gradcast');
  writeFileSync(program, '#!/bin/sh\necho "$@, workers: $GRADCAST_WORKERS"\n', { mode: 0o755 });
  const script = fileURLToPath(new URL(`../../deploy/slurm/${name}`, import.meta.url));
  const { PATH = '' } = process.env;
  const job = {
    SLURM_JOB_ID: '9',
    SLURM_ARRAY_TASK_ID: '3',
    SLURMD_NODENAME: 'n1',
    SLURM_CPUS_PER_TASK: '4',
  };
  return spawnSync('bash', [script, ...args], {
    encoding: 'utf8',
    cwd: folder,
    env: { PATH, GRADCAST: program, ...job, ...env },
  });
}

it.each([
  [[], {}, 'workers: 4'],
  [[], { GRADCAST_WORKERS: '2' }, 'workers: 2'],
  [['--devices', 'all'], {}, '--devices all, workers: '],
  [['--devices=0'], {}, '--devices=0, workers: '],
  [[], { GRADCAST_DEVICES: 'all' }, ', workers: '],
])('workers of a job with the options %j and the variables %j', (args, env, end) => {
  const { stdout, status } = runScript('workers.sbatch', args, env);
  expect(stdout.trimEnd()).toMatch(/^worker --url-file gradcast-run\.url --name n1-3/);
  expect(stdout.trimEnd().endsWith(end.trimEnd()), stdout).toBe(true);
  expect(status).toBe(0);
});

it('a coordinator has the options of its job, and the job its exit code', () => {
  const { stdout, status } = runScript('coordinator.sbatch', ['--epochs', '3'], { RUN: 'runs/a' });
  expect(stdout).toBe(
    'coordinator --resume-or-start runs/a --url-file runs/a.url --port 0 --epochs 3, workers: \n',
  );
  expect(status).toBe(0);
  expect(runScript('coordinator.sbatch', [], { GRADCAST: join(folder, 'missing') }).status).toBe(127);
});
