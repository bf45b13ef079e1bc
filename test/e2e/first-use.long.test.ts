import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { writeDigits } from '../support/idx-bytes.ts';

const SAMPLES = 1280;

let scratch: string;
let clone: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'gradcast-newcomer-'));
  clone = join(scratch, 'clone');
  const files = execFileSync('git', ['ls-files', '-z'], { encoding: 'utf8' }).split('\0').filter(Boolean);
  for (const file of files) {
    await mkdir(dirname(join(clone, file)), { recursive: true });
    await cp(file, join(clone, file));
  }
  await writeDigits(
    join(scratch, 'digits'),
    syntheticDigits({ seed: 3, trainCount: SAMPLES, testCount: 100 }),
  );
});
afterAll(() => rm(scratch, { recursive: true, force: true, maxRetries: 3 }));

test('npm start in a new clone installs packages, trains with WebAssembly and fetches no engine', async () => {
  const options = ['--data', join(scratch, 'digits'), '--out', join(scratch, 'run'), '--epochs', '2'];
  const { PATH } = process.env;
  const home = join(scratch, 'home');
  const settings = Object.entries(process.env).filter(
    ([name]) => /^npm_config_|_proxy$|^SSL_|^NODE_EXTRA/i.test(name) && name !== 'npm_config_cache',
  );
  const child = spawn('npm', ['start', '--', ...options], {
    cwd: clone,
    env: { PATH, HOME: home, ...Object.fromEntries(settings) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => (output += data.toString()));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code, output).toBe(0);
  const events = [
    /Installing missing packages/,
    /\+ local(-\d)? joined: wasm on/,
    /Epoch 1\/2/,
    /Epoch 2\/2/,
  ].map((pattern) => output.search(pattern));
  expect(events, output).not.toContain(-1);
  expect(events, output).toEqual(events.toSorted((a, b) => a - b));
  expect(await readdir(join(home, '.cache', 'gradcast')).catch(() => [])).not.toContain('engine');

  // Each accuracy is a whole number of samples of the data set: no sample was skipped or counted twice.
  const text = await readFile(join(scratch, 'run', 'history.jsonl'), 'utf8');
  const history = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as EpochRecord);
  expect(history.map(({ epoch }) => epoch)).toEqual([1, 2]);
  for (const { accuracy, loss } of history) {
    expect((accuracy ?? NaN) * SAMPLES).toBeCloseTo(Math.round((accuracy ?? NaN) * SAMPLES), 6);
    expect(Number.isFinite(loss)).toBe(true);
  }
});
