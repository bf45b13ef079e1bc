import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { writeDigits } from '../support/idx-bytes.ts';
import { describeNative } from '../support/native.ts';

const SAMPLES = 1280;
const WITHIN_MS = 15 * 60_000;

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

const readHistory = async (): Promise<EpochRecord[]> => {
  const text = await readFile(join(scratch, 'run', 'history.jsonl'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as EpochRecord);
};

// The test needs a machine that can run native TensorFlow; the run installs its own copy.
describeNative(() => {
  test('npm start trains before native TensorFlow is installed, then continues with it', async () => {
    const options = ['--data', join(scratch, 'digits'), '--out', join(scratch, 'run')];
    const { PATH } = process.env;
    const settings = Object.entries(process.env).filter(
      ([name]) => /^npm_config_|^PIP_|_proxy$|^SSL_|^NODE_EXTRA/i.test(name) && name !== 'npm_config_cache',
    );
    // In a terminal of its own, Ctrl-C reaches npm and all of its child processes.
    const child = spawn(
      'npm',
      ['start', '--', ...options, '--epochs', '1000000', '--install-native', 'always'],
      {
        cwd: clone,
        env: { PATH, HOME: join(scratch, 'home'), ...Object.fromEntries(settings) },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data: Buffer) => (output += data.toString()));
    }
    const ended = once(child, 'close');
    const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
    try {
      await vi.waitFor(
        () => {
          if (isOver()) return;
          expect(output).toMatch(/Native TensorFlow is ready|could not be installed/);
        },
        { timeout: WITHIN_MS, interval: 200 },
      );
      expect(output).toContain('Native TensorFlow is ready');
      const { length } = await readHistory();
      await vi.waitFor(
        async () => {
          expect(output).toMatch(/- local(-\d)? left/);
          expect((await readHistory()).length).toBeGreaterThan(length + 3);
        },
        { timeout: 60_000, interval: 200 },
      );
    } finally {
      if (!isOver()) process.kill(-(child.pid ?? 0), 'SIGINT');
      await ended;
    }
    const events = [
      /Installing missing packages/,
      /\+ local(-\d)? joined: wasm on/,
      /Epoch 1\/1000000: /,
      /Installing native TensorFlow while training continues/,
      /Epoch 2\/1000000: /,
      /\+ local-native-\d joined: tensorflow on/,
      /- local(-\d)? left: /,
      /Stopping; the trained model is saved/,
    ].map((pattern) => output.search(pattern));
    expect(events, output).not.toContain(-1);
    expect(events, output).toEqual(events.toSorted((a, b) => a - b));

    // Each accuracy is a whole number of samples of the data set: no sample was skipped or counted twice.
    const history = await readHistory();
    expect(history.map(({ epoch }) => epoch)).toEqual(history.map((_, i) => i + 1));
    for (const { accuracy, loss } of history) {
      expect((accuracy ?? NaN) * SAMPLES).toBeCloseTo(Math.round((accuracy ?? NaN) * SAMPLES), 6);
      expect(Number.isFinite(loss)).toBe(true);
    }
  });
});
