import { describe, expect, it } from 'vitest';
import { moduleOf } from '../../../shared/model/custom-code.ts';
import type { Welcome } from '../../../shared/protocol/messages.ts';
import {
  COMPUTE_LIMIT_MS,
  LOAD_LIMIT_MS,
  ownOriginCode,
  trustedCode,
} from '../../../shared/worker/custom-code-access.ts';
import { settle } from '../../support/manual-clock.ts';
import { sha256 } from '../../support/custom-code.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { oneSample, sixWeights } from './connection-harness.ts';
import { startWorker } from './session-harness.ts';

const bytes = new TextEncoder().encode('export default () => ({ losses: { mine: () => null } });');
const hash = sha256(bytes);
const code = { hash, layers: ['Own'], losses: ['mine'], metrics: [] };
const welcome: Welcome = { ...exampleWelcome, job: { ...exampleWelcome.job, customCode: code } };
const url = 'ws://made:1/';

describe('a worker in Node', () => {
  it('says which code it trusts, and loads it from the welcome', async () => {
    const worker = await startWorker(undefined, { customCode: trustedCode([hash], url) });
    expect(worker.coordinator.link.received[0]).toMatchObject({ type: 'hello', trusts: [hash] });
    await worker.coordinator.link.send(welcome, bytes);
    // The hash is computed in another thread.
    await expect.poll(() => worker.coordinator.types).toEqual(['hello', 'ready']);
    expect(worker.engine.modules).toEqual([moduleOf(bytes)]);
  });

  it('declines code that it does not trust, with names, hash, address and command, and does not come again', async () => {
    const worker = await startWorker();
    expect(worker.coordinator.link.received[0]).not.toHaveProperty('trusts');
    // The code is there, but it is not trusted.
    await worker.coordinator.link.send(welcome, bytes);
    await settle();
    expect(worker.engine.loaded).toEqual([]);
    expect(worker.coordinator.links).toHaveLength(1);
    expect(worker.ended).toEqual({
      outcome: 'threw',
      sentence:
        'This worker cannot take part in the run at ws://made:1: The run computes with code that a person wrote (layer Own, loss mine), ' +
        `which this worker does not run unasked. Read it at http://made:1/custom/${hash}.js, then use: gradcast worker http://made:1/ --trust ${hash}`,
    });
  });

  it.each([
    [
      'other code than it names',
      new TextEncoder().encode('export default 1'),
      /has other custom code \(SHA-256 [0-9a-f]{64}\) than its job names/,
    ],
    ['no code', new Uint8Array(0), /has not sent the custom code/],
    [
      'too much code',
      new Uint8Array(2 ** 20 + 1),
      /has custom code of 1048577 bytes, and at most 1048576 are accepted/,
    ],
  ])('does not run what a coordinator sends in place of trusted code: %s', async (_, payload, sentence) => {
    const worker = await startWorker(undefined, { customCode: trustedCode([hash], url) });
    await worker.coordinator.link.send(welcome, payload);
    await expect.poll(() => worker.ended?.sentence).toMatch(sentence);
    expect(worker.engine.loaded).toEqual([]);
  });

  it('does not wait for ever for code that does not end', async () => {
    const worker = await startWorker(
      (_, engine) => (engine.onLoad = () => new Promise<void>(() => undefined)),
      { customCode: trustedCode([hash], url) },
    );
    await worker.coordinator.link.send(welcome, bytes);
    await expect.poll(() => worker.engine.loaded).toHaveLength(1);
    await worker.clock.advance(LOAD_LIMIT_MS);
    await settle();
    expect(worker.ended).toMatchObject({
      outcome: 'threw',
      sentence: expect.stringContaining('The custom code of the run was not loaded within 30 s.') as string,
    });
  });

  it.each([
    ['goes on', false],
    ['is lost meanwhile', true],
  ])('ends when code does not compute a shard in its time, if the connection %s', async (_, isLost) => {
    const worker = await startWorker(
      (_, engine) => (engine.onGradient = () => new Promise(() => undefined)),
      {
        customCode: trustedCode([hash], url),
      },
    );
    const { link } = worker.coordinator;
    await link.send(welcome, bytes);
    await expect.poll(() => worker.coordinator.types).toEqual(['hello', 'ready']);
    await link.send({ type: 'weights', step: step(1), offset: 0 }, sixWeights);
    const shard = { type: 'shard', task: 'train', step: step(1), shard: shardId(10), samples: 1 } as const;
    await link.send(shard, oneSample);
    if (isLost) link.end.close(1006, 'gone');
    for (let ms = 0; ms < COMPUTE_LIMIT_MS; ms += 10_000) {
      if (!isLost) await link.send({ type: 'ping', id: ms });
      await worker.clock.advance(10_000);
    }
    expect(worker.ended).toMatchObject({
      outcome: 'threw',
      sentence: expect.stringContaining('did not compute a shard within 180 s.') as string,
    });
    expect(worker.coordinator.links).toHaveLength(1);
  });

  it('accepts hashes only, and few', () => {
    expect(() => trustedCode(['all'], url)).toThrow('"all" is no SHA-256 of custom code');
    expect(() => trustedCode(new Array<string>(33).fill(hash), url)).toThrow('at most 32 hashes');
  });
});

describe('a tab', () => {
  const read = (): Promise<Uint8Array> => Promise.resolve(bytes);

  it('runs the code of the coordinator whose page it is', async () => {
    const asked: string[] = [];
    const access = ownOriginCode('ws://made:1/train/', { origin: 'http://made:1' }, (address) => {
      asked.push(address);
      return read();
    });
    const address = `http://made:1/train/custom/${hash}.js`;
    expect(await access.open(code, new Uint8Array(0))).toBe(address);
    expect(asked).toEqual([address]);
  });

  it.each(['http://other:1', 'https://made:1', 'http://made:12', 'http://made'])(
    'of %s declines, and reads nothing',
    async (origin) => {
      const access = ownOriginCode(url, { origin }, () => expect.unreachable());
      await expect(access.open(code, bytes)).rejects.toThrow(
        `which a page of ${origin} does not run. Open http://made:1/ to take part.`,
      );
    },
  );

  it('declines another file, and one that is missing', async () => {
    const origin = 'http://made:1';
    const other = { ...code, hash: 'f'.repeat(64) };
    await expect(ownOriginCode(url, { origin }, read).open(other, bytes)).rejects.toThrow(
      /has other custom code .* It was not run\./,
    );
    const missing = ownOriginCode(url, { origin }, () => Promise.reject(new Error('404')));
    await expect(missing.open(code, bytes)).rejects.toThrow('cannot be loaded from http://made:1/custom/');
  });
});
