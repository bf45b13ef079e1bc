import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runProcesses, type WorkerSpec } from '../../../worker-node/processes/run-processes.ts';
import { visibleDeviceEnv } from '../../../worker-node/engine/native/nvidia-gpus.ts';
import { ExitCode } from '../../../shared/util/exit-codes.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-processes-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Options for processes that run a program, in which `name` is the name of the process. */
async function run(
  program: string,
  workers: readonly WorkerSpec[],
): Promise<{ code: number; notes: string[] }> {
  const file = join(folder, 'worker.cjs');
  const notes: string[] = [];
  const lines = [
    "const { appendFileSync, existsSync, writeFileSync } = require('node:fs');",
    `const folder = ${JSON.stringify(folder)};`,
    "const name = process.argv[process.argv.indexOf('--name') + 1];",
    'const say = (line) => appendFileSync(`${folder}/output`, `${name}: ${line}\\n`);',
    program,
  ];
  await writeFile(file, lines.join('\n'));
  const code = await runProcesses({
    workers,
    command: [process.execPath, file],
    env: process.env,
    signal: new AbortController().signal,
    note: (line) => void notes.push(line),
  });
  return { code, notes };
}

const output = async (): Promise<string[]> =>
  (await readFile(join(folder, 'output'), 'utf8')).trim().split('\n').sort();

test('each worker has its own name and environment', async () => {
  const workers = [0, 2].map((number) => ({ name: `lab-gpu${number}`, env: visibleDeviceEnv(number) }));
  // The first process that ends would end the other, so each waits until both have printed.
  const { code } = await run(
    `say(\`\${process.env.CUDA_VISIBLE_DEVICES} by \${process.env.CUDA_DEVICE_ORDER}\`);
     const { readFileSync } = require('node:fs');
     setInterval(() => { if (readFileSync(\`\${folder}/output\`, 'utf8').split('\\n').length > 2) process.exit(0); }, 5);`,
    workers,
  );
  expect(code).toBe(0);
  expect(await output()).toEqual(['lab-gpu0: 0 by PCI_BUS_ID', 'lab-gpu2: 2 by PCI_BUS_ID']);
});

test('a worker whose engine was lost is restarted, one that ends with an error is not', async () => {
  const first = await run(
    `say('started');
     if (!existsSync(\`\${folder}/died\`)) { writeFileSync(\`\${folder}/died\`, ''); process.exit(${ExitCode.engineDied}); }`,
    [{ name: 'a', env: {} }],
  );
  expect(first).toEqual({ code: 0, notes: ['a lost its engine; restarting (1 of 3).'] });
  expect(await output()).toEqual(['a: started', 'a: started']);
  expect(await run('process.exit(7);', [{ name: 'a', env: {} }])).toEqual({ code: 7, notes: [] });
});

test.runIf(process.platform !== 'win32')(
  'a worker that crashes is restarted, and its signal named',
  async () => {
    const { code, notes } = await run(
      `if (!existsSync(\`\${folder}/died\`)) { writeFileSync(\`\${folder}/died\`, ''); process.kill(process.pid, 'SIGSEGV'); }
     setTimeout(() => process.exit(0), 5);`,
      [{ name: 'a', env: {} }],
    );
    expect({ code, notes }).toEqual({ code: 0, notes: ['a crashed (signal SIGSEGV); restarting (1 of 3).'] });
  },
);

test('a worker whose engine is lost again and again is not restarted forever', async () => {
  const { code, notes } = await run(`process.exit(${ExitCode.engineDied});`, [{ name: 'a', env: {} }]);
  expect(code).toBe(1);
  expect(notes.at(-1)).toBe('a lost its engine for the 4th time within seconds; not restarted.');
});

test('a worker that another process terminates is restarted, and the others stay', async () => {
  const { code, notes } = await run(
    `say('started');
     const { readFileSync } = require('node:fs');
     if (!existsSync(\`\${folder}/asked\`)) { writeFileSync(\`\${folder}/asked\`, ''); process.exit(${ExitCode.workerTerminated}); }
     process.stdin.on('close', () => { say('was let go'); process.exit(0); }).resume();
     setInterval(() => { if (readFileSync(\`\${folder}/output\`, 'utf8').split('started').length > 3) process.exit(0); }, 5);`,
    ['a', 'b'].map((name) => ({ name, env: {} })),
  );
  expect(code).toBe(0);
  expect(notes).toHaveLength(1);
  expect(notes[0]).toMatch(/^[ab] was terminated; restarting \(1 of 3\)\.$/);
});

test.each([
  ['130 if they leave before the end of the run', ExitCode.interrupted, ExitCode.interrupted],
  ['0 if one learns of the end of the run meanwhile', ExitCode.done, ExitCode.done],
  ['that of a worker that fails', 7, 7],
])('the exit code of workers that are stopped is %s', async (_, ofOne, expected) => {
  const file = join(folder, 'worker.cjs');
  await writeFile(
    file,
    `const code = process.argv.includes('a') ? ${ofOne} : ${ExitCode.interrupted};
     process.stdin.on('close', () => process.exit(code)).resume();
     process.send({ type: 'computed', step: 1, samples: 1 });`,
  );
  const stop = new AbortController();
  const started = new Set<string>();
  const code = await runProcesses({
    workers: ['a', 'b'].map((name) => ({ name, env: {} })),
    command: [process.execPath, file],
    env: process.env,
    signal: stop.signal,
    note: () => undefined,
    onMessage: (__, { name }) => {
      if (started.add(name).size === 2) stop.abort();
    },
  });
  expect(code).toBe(expected);
});

test('a program that cannot be started is reported', async () => {
  const notes: string[] = [];
  const code = await runProcesses({
    workers: [{ name: 'a', env: {} }],
    command: [join(folder, 'missing')],
    env: process.env,
    signal: new AbortController().signal,
    note: (line) => void notes.push(line),
  });
  expect(code).toBe(1);
  expect(notes).toEqual([expect.stringMatching(/^a could not be started: .*ENOENT/)]);
});

test('no process is started if the signal is aborted before', async () => {
  const file = join(folder, 'worker.cjs');
  await writeFile(file, `require('node:fs').writeFileSync(${JSON.stringify(join(folder, 'output'))}, '');`);
  const options = { env: process.env, signal: AbortSignal.abort(), note: () => undefined };
  const workers = [{ name: 'a', env: {} }];
  expect(await runProcesses({ workers, command: [process.execPath, file], ...options })).toBe(
    ExitCode.interrupted,
  );
  await expect(readFile(join(folder, 'output'))).rejects.toThrow(/ENOENT/);
});
