import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { finishUrlFile, writeUrlFile } from '../../coordinator/report/addresses.ts';
import { formatUrlFile, parseUrlFile } from '../../shared/protocol/url-file.ts';
import { locateByUrlFile, waitForUrlFile } from '../../worker-node/url-file.ts';
import { manualClock } from '../support/manual-clock.ts';

const dir = await mkdtemp(join(tmpdir(), 'gradcast-url-'));
afterAll(() => rm(dir, { recursive: true }));
const never = new AbortController().signal;

describe('the text of a url file', () => {
  it('is read as it was written', () => {
    const links = [{ url: 'ws://10.0.0.5:2718/', token: 'a b#c' }, { url: 'wss://[::1]:2718/' }];
    const text = formatUrlFile({ links, isFinished: false });
    expect(text).toBe('http://10.0.0.5:2718/#a%20b%23c\nhttps://[::1]:2718/\n');
    expect(parseUrlFile(text)).toEqual({ links, isFinished: false });
    const finished = { links: [], isFinished: true };
    expect(parseUrlFile(formatUrlFile(finished))).toEqual(finished);
  });

  it('has no address if it is empty or something else', () => {
    for (const text of ['', '\n', 'not an address\n']) expect(parseUrlFile(text)).toBeNull();
  });
});

describe('a coordinator', () => {
  it('writes the addresses that other machines reach, for its owner alone', async () => {
    const file = join(dir, 'written');
    await writeFile(file, 'an earlier one', { mode: 0o644 });
    await writeUrlFile(file, ['ws://127.0.0.1:1', 'ws://10.0.0.5:1', 'ws://10.1.0.5:1'], { token: 's3cret' });
    expect(await readFile(file, 'utf8')).toBe('http://10.0.0.5:1/#s3cret\nhttp://10.1.0.5:1/#s3cret\n');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await writeUrlFile(file, ['ws://127.0.0.1:1'], {});
    expect(await readFile(file, 'utf8')).toBe('http://127.0.0.1:1/\n');
    await finishUrlFile(file);
    expect(await readFile(file, 'utf8')).toBe('finished\n');
  });

  it('writes the fingerprint of a certificate that it has made', async () => {
    const file = join(dir, 'secure');
    const fingerprint = Array(32).fill('AB').join(':');
    const write = (selfSigned: boolean): Promise<void> =>
      writeUrlFile(file, ['wss://10.0.0.5:1'], { token: 's3cret', tls: { selfSigned, fingerprint } });
    await write(true);
    expect(await readFile(file, 'utf8')).toBe(`https://10.0.0.5:1/?sha256=${'ab'.repeat(32)}#s3cret\n`);
    const locate = locateByUrlFile(file, undefined);
    const current = { url: 'wss://old:1/' };
    expect(await locate(current, 1)).toEqual({ url: 'wss://10.0.0.5:1/', token: 's3cret', fingerprint });
    await write(false);
    expect(await locate(current, 1)).toEqual({ url: 'wss://10.0.0.5:1/', token: 's3cret' });
  });

  it('fails with a sentence if the file cannot be written', async () => {
    await expect(writeUrlFile(join(dir, 'no/such/folder'), ['ws://a:1'], {})).rejects.toThrow(
      /no\/such\/folder could not be written: /,
    );
  });
});

describe('a worker', () => {
  it('waits for the file, and for an address in it', async () => {
    const file = join(dir, 'awaited');
    const clock = manualClock();
    const lines: string[] = [];
    const found = waitForUrlFile(file, { signal: never, clock, info: (line) => void lines.push(line) });
    await expect.poll(() => lines).toHaveLength(1);
    await writeFile(file, '');
    // The file is read by the system, whose time is not the clock's.
    await expect.poll(() => clock.advance(1_000).then(() => lines.length)).toBe(2);
    await writeFile(file, 'http://10.0.0.5:1/#s3cret\n');
    await expect
      .poll(() => Promise.race([found, clock.advance(1_000).then(() => 'waiting')]))
      .toEqual({ url: 'ws://10.0.0.5:1/', token: 's3cret' });
    expect(lines).toEqual([
      `Waiting for the address of a coordinator in ${file}: it does not exist.`,
      `Waiting for the address of a coordinator in ${file}: it has no address of a coordinator.`,
    ]);
  });

  it('has nothing to do if the run is finished, or it is told to leave', async () => {
    const file = join(dir, 'finished');
    const wait = { clock: manualClock(), info: () => undefined };
    await finishUrlFile(file);
    expect(await waitForUrlFile(file, { ...wait, signal: never })).toBeNull();
    expect(await waitForUrlFile(join(dir, 'none'), { ...wait, signal: AbortSignal.abort() })).toBeNull();
  });

  it('finds the coordinator again at its next address, with the token of its option if the file has none', async () => {
    const file = join(dir, 'moved');
    const current = { url: 'ws://old:1/', token: 'old' };
    const locate = locateByUrlFile(file, 'option');
    expect(await locate(current, 1)).toBe(current);
    await writeUrlFile(file, ['ws://10.0.0.5:1', 'ws://10.1.0.5:1'], {});
    expect(await locate(current, 1)).toEqual({ url: 'ws://10.1.0.5:1/', token: 'option' });
    expect(await locate(current, 2)).toEqual({ url: 'ws://10.0.0.5:1/', token: 'option' });
    await writeUrlFile(file, ['ws://10.0.0.5:1'], { token: 'new' });
    expect(await locate(current, 3)).toEqual({ url: 'ws://10.0.0.5:1/', token: 'new' });
    await finishUrlFile(file);
    expect(await locate(current, 1)).toBeNull();
  });
});
