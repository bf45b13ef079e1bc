import { execFileSync, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  loadDataset,
  userCacheDir,
  type LoadDatasetOptions,
} from '../../../coordinator/data/load-dataset.ts';
import { parseMirrors } from '../../../coordinator/data/named/data-sets.ts';
import { DataError } from '../../../shared/data/data-error.ts';
import {
  RecordingDataReport,
  startGzipMirror,
  startMirror,
  publishedFiles,
} from '../../support/data-mirror.ts';
import { idxBytes, tinyFiles } from '../../support/idx-bytes.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

let cacheDir: string;
beforeEach(async () => void (cacheDir = await mkdtemp(join(tmpdir(), 'gradcast-cache-'))));
afterEach(() => rm(cacheDir, { recursive: true }));

// Random pixels do not compress, so that a download can be cut in its middle.
const trainImages = idxBytes([6, 40, 30], noise(7200));
const files: Record<string, Uint8Array> = {
  ...tinyFiles(),
  'train-images-idx3-ubyte': trainImages,
  't10k-images-idx3-ubyte': idxBytes([2, 40, 30], noise(2400)),
};
const NAMES = Object.keys(files).map((name) => `${name}.gz`);
// Long enough for a good mirror on any machine.
const limits = { connectMs: 60_000, stallMs: 60_000, totalMs: 60_000 };
/** Limits for mirrors that never answer. */
const shortLimits = { ...limits, connectMs: 2000, stallMs: 2000 };

/** Emits the bytes so far of a download. */
const progress = new EventEmitter<{ done: [number] }>();
afterEach(() => void progress.removeAllListeners());
class EmittingDataReport extends RecordingDataReport {
  override progress(label: string, done: number, total: number | undefined): void {
    super.progress(label, done, total);
    progress.emit('done', done);
  }
}

function load(mirrors: string[], extra: Partial<LoadDatasetOptions> = {}) {
  const lines = new EmittingDataReport();
  const loading = loadDataset({
    env: {},
    cacheDir,
    fetch,
    report: lines,
    seed: 1,
    limits,
    mirrors,
    mnistFiles: publishedFiles(files),
    limit: 5,
    syntheticTestCount: 3,
    ...extra,
  });
  return loading.then((dataset) => ({ dataset, lines }));
}

const cached = async () => (await readdir(join(cacheDir, 'mnist')).catch(() => [])).sort();

it('a download ends when its signal is aborted, without synthetic digits in its place', async () => {
  await using silent = await startMirror(() => undefined);
  const stop = new AbortController();
  const loading = load([silent.address], {
    signal: stop.signal,
    limits: { connectMs: 60_000, stallMs: 60_000, totalMs: 60_000 },
    fetch: (...request) => {
      queueMicrotask(() => stop.abort());
      return fetch(...request);
    },
  });
  await expect(loading).rejects.toThrow(/abort/i);
});

describe('MNIST', () => {
  it('is downloaded once, with progress, and kept', async () => {
    await using good = await startGzipMirror(files);
    const { dataset, lines } = await load([good.address]);
    expect(dataset).toMatchObject({ name: 'mnist', ...imageTensors([40, 30, 1], 4) });
    expect(dataset.description).toContain('downloaded');
    expect(lines.warnings).toEqual([]);
    const last = lines.steps.filter((step) => step.label === 'train-images-idx3-ubyte').at(-1)!;
    expect(last.done).toBe(gzipSync(trainImages).length);
    expect(await cached()).toEqual(NAMES.toSorted());
    const again = await load([good.address]);
    expect(again.dataset.train).toEqual(dataset.train);
    expect(good.requestedPaths.toSorted()).toEqual(NAMES.toSorted());
  });

  it.skipIf(process.platform === 'win32')(
    'is downloaded if a pipe has the name of a cached file',
    async () => {
      await using good = await startGzipMirror(files);
      await mkdir(join(cacheDir, 'mnist'));
      execFileSync('mkfifo', [join(cacheDir, 'mnist', NAMES[0]!)]);
      const { dataset, lines } = await load([good.address]);
      expect(dataset.name).toBe('mnist');
      expect(lines.warnings.join()).toContain('cannot be saved');
    },
  );

  it('is downloaded from a server with a content encoding', async () => {
    await using encoded = await startMirror((name, response) => {
      response.setHeader('content-encoding', 'gzip').end(gzipSync(files[name.slice(0, -3)]!));
    });
    expect((await load([encoded.address])).dataset.name).toBe('mnist');
    expect((await load([])).dataset.name).toBe('mnist');
  });

  const whole = gzipSync(trainImages);
  const wrong = gzipSync(idxBytes([6, 40, 30], noise(7200, 2)));
  it.each([
    ['does not have the file', 'HTTP 404', (_: string, r: Answer) => void r.writeHead(404).end()],
    ['has other contents', 'SHA-256', (_: string, r: Answer) => void r.end(wrong)],
    ['sends a cut file', 'not a whole gzip', (_: string, r: Answer) => void r.end(whole.subarray(0, 2000))],
    ['breaks off', 'after 2000 bytes', (_: string, r: Answer) => breakOff(r, whole)],
    ['never answers', 'no answer within 2 s', () => undefined],
    ['stalls', 'no data for 2 s after 2000 bytes', (_: string, r: Answer) => stall(r, whole)],
    ['sends no end of bytes', 'longer than', (_: string, r: Answer) => void r.end(Buffer.alloc(200_000))],
  ])('comes from the second mirror if the first %s', async (_, reason, answer) => {
    await using bad = await startMirror(answer);
    await using good = await startGzipMirror(files);
    const isSilent = reason.includes(' 2 s');
    const { dataset, lines } = await load(
      [bad.address, good.address],
      isSilent ? { limits: shortLimits } : {},
    );
    expect(dataset.name).toBe('mnist');
    expect(lines.infos.join('\n')).toContain(reason);
    // A failed mirror gets no request for the other files while another one works.
    expect(bad.requestedPaths).toHaveLength(1);
    expect(await cached()).toEqual(NAMES.toSorted());
  });

  it('is not downloaded from a mirror that exceeds the total time', async () => {
    await using slow = await startMirror((_, response) => {
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    });
    const { dataset, lines } = await load([slow.address], { limits: { ...limits, totalMs: 300 } });
    expect(dataset.name).toBe('drawn-digits');
    expect(lines.infos.join('\n')).toContain('not done within 0.3 s');
  });

  it('is downloaded again in part if one file in the cache is damaged', async () => {
    await using good = await startGzipMirror(files);
    await load([good.address]);
    const path = join(cacheDir, 'mnist', 't10k-images-idx3-ubyte.gz');
    for (const damage of [Buffer.alloc(0), whole.subarray(0, 100), wrong]) {
      await writeFile(path, damage);
      good.requestedPaths.length = 0;
      const { dataset, lines } = await load([good.address]);
      expect(dataset.name).toBe('mnist');
      expect(lines.warnings).toEqual([expect.stringContaining(path)]);
      expect(good.requestedPaths).toEqual(['t10k-images-idx3-ubyte.gz']);
    }
  });

  it('can be loaded twice at the same time', async () => {
    await using good = await startGzipMirror(files);
    const both = await Promise.all([load([good.address]), load([good.address])]);
    for (const { dataset } of both) expect(dataset.name).toBe('mnist');
    expect(await cached()).toEqual(NAMES.toSorted());
  });

  it('is used even if the cache cannot be written', async () => {
    await using good = await startGzipMirror(files);
    const blocked = join(cacheDir, 'a-file');
    await writeFile(blocked, '');
    const { dataset, lines } = await load([good.address], { cacheDir: blocked });
    expect(dataset.name).toBe('mnist');
    expect(lines.warnings[0]).toContain('cannot be saved');
  });

  it('is not taken from a file whose download was killed before the rename', async () => {
    await using good = await startGzipMirror(files);
    const script = join(cacheDir, 'killed.cjs');
    await build({
      stdin: { contents: killedChild(good.address), resolveDir: import.meta.dirname },
      bundle: true,
      platform: 'node',
      format: 'cjs',
      outfile: script,
      logLevel: 'error',
      banner: { js: `require('fs/promises').rename = () => process.kill(process.pid, 'SIGKILL');` },
    });
    const child = spawn(process.execPath, [script], { stdio: 'inherit' });
    await new Promise((resolve) => child.on('exit', resolve));
    const left = await cached();
    expect(left).toHaveLength(1);
    expect(left[0]).toMatch(/^train-images-idx3-ubyte\.gz\.\d+$/);
    expect((await load([good.address])).dataset.name).toBe('mnist');
    expect(await cached()).toHaveLength(5);

    // The next download, an hour later, removes the temporary file.
    await utimes(join(cacheDir, 'mnist', left[0]!), 0, 0);
    await rm(join(cacheDir, 'mnist', 't10k-labels-idx1-ubyte.gz'));
    await load([good.address]);
    expect(await cached()).toEqual(NAMES.toSorted());
  });
});

describe('without a mirror', () => {
  it('synthetic digits are used, with a warning that they are not MNIST', async () => {
    await using none = await startMirror((_, response) => void response.writeHead(503).end());
    const { dataset, lines } = await load([none.address, 'http://127.0.0.1:1/']);
    expect(dataset.name).toBe('drawn-digits');
    expect([dataset.train.count, dataset.test.count]).toEqual([5, 3]);
    // Each failure is told once.
    expect(lines.infos.slice(1)).toEqual([
      expect.stringMatching(`^${none.address}.*: HTTP 503`),
      expect.stringMatching(/^http:\/\/127\.0\.0\.1:1\//),
    ]);
    const warnings = lines.warnings.join('\n');
    for (const part of ['NOT MNIST', 'synthetic digits', '--data']) expect(warnings).toContain(part);
    expect(warnings).not.toContain(none.address);
    expect(await cached()).toEqual([]);
  });

  it('each silent mirror costs its timeout once, not once a file', async () => {
    await using dead = await startMirror(() => undefined);
    await load([dead.address, `${dead.address}other/`], { limits: shortLimits });
    expect(dead.requestedPaths).toHaveLength(2);
  });

  it('loading ends even if the given fetch ignores its signal', async () => {
    const { dataset } = await load(['http://nowhere/'], {
      fetch: () => new Promise(() => undefined),
      limits: shortLimits,
    });
    expect(dataset.name).toBe('drawn-digits');
  });

  it('synthetic digits can be disabled', async () => {
    const loading = load(['http://127.0.0.1:1/'], { useSyntheticDigits: 'never' });
    await expect(loading).rejects.toThrow(DataError);
    await expect(loading).rejects.toThrow(/127\.0\.0\.1:1.*[^]*--data/);
  });

  it('synthetic digits can be requested, and then no file is read', async () => {
    const { dataset, lines } = await load([], {
      useSyntheticDigits: 'always',
      env: { MNIST_DIR: '/nowhere' },
    });
    expect(dataset.name).toBe('drawn-digits');
    expect([...lines.infos, ...lines.warnings]).toEqual([]);
  });

  it('a limit of 0 is rejected', async () => {
    await expect(load([], { limit: 0, useSyntheticDigits: 'always' })).rejects.toThrow(RangeError);
  });
});

describe('mirrors', () => {
  it('are at least two, or those of the environment', () => {
    expect(parseMirrors({}).length).toBeGreaterThanOrEqual(2);
    expect(parseMirrors({ GRADCAST_MNIST_MIRRORS: '' })).toEqual(parseMirrors({}));
    expect(parseMirrors({ GRADCAST_MNIST_MIRRORS: ' http://a/b, https://c/ ' })).toEqual([
      'http://a/b/',
      'https://c/',
    ]);
    expect(() => parseMirrors({ GRADCAST_MNIST_MIRRORS: 'ftp://a' })).toThrow(
      /GRADCAST_MNIST_MIRRORS.*ftp:\/\/a/,
    );
  });

  it('of the environment are used', async () => {
    await using good = await startGzipMirror(files);
    const { dataset } = await load([], { mirrors: undefined, env: { GRADCAST_MNIST_MIRRORS: good.address } });
    expect(dataset.name).toBe('mnist');
  });
});

it("the cache folder is in the platform's place, with gradcast's name", () => {
  expect(userCacheDir()).toMatch(/gradcast([\\/]Cache)?$/);
});

type Answer = Parameters<Parameters<typeof startMirror>[0]>[1];

function stall(response: Answer, bytes: Uint8Array): void {
  response.setHeader('content-length', bytes.length).write(bytes.subarray(0, 2000));
}

function breakOff(response: Answer, bytes: Uint8Array): void {
  // Destroyed after the client has read: a reset may overtake the data.
  progress.on('done', (done) => {
    if (done === 2000) response.destroy();
  });
  stall(response, bytes);
}

function noise(length: number, seed = 1): Uint8Array {
  let state = seed;
  return new Uint8Array(length).map(() => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24);
}

function killedChild(address: string): string {
  return `
    import { loadIdxFiles } from '../../../coordinator/data/published-idx.ts';
    run(loadIdxFiles({
      title: 'MNIST',
      folder: ${JSON.stringify(join(cacheDir, 'mnist'))},
      mirrors: [${JSON.stringify(address)}],
      fetch,
      limits: ${JSON.stringify(limits)},
      report: { info() {}, warn() {}, progress() {} },
      files: ${JSON.stringify(publishedFiles(files))},
    }));
    function run(work) { work.catch((error) => { console.error(error); process.exit(1); }); }
  `;
}
