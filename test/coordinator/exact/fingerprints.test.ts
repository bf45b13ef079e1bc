import { describe, expect, it } from 'vitest';
import { EngineFingerprints } from '../../../coordinator/modes/fingerprints.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { parseFromWorker } from '../../../shared/protocol/parse.ts';
import { encodeFrame } from '../../../shared/protocol/frame.ts';
import { exampleHello } from '../../shared/protocol/examples.ts';

const id = (name: string): WorkerId => name as WorkerId;
const { engine } = exampleHello;
const [A, B] = ['0123456789abcdef', 'fedcba9876543210'];

describe('the bits of an exact run', () => {
  it('are those of most workers that are there when it begins, not of the one that came first', () => {
    const answers = new EngineFingerprints();
    answers.check(id('eve'), engine, B);
    answers.check(id('ann'), engine, A);
    answers.check(id('bob'), engine, A);
    expect(answers.expected).toBeNull();
    expect([...answers.decide().keys()]).toEqual(['eve']);
    expect(answers.expected).toBe(A);
    expect(() => answers.check(id('mal'), engine, B)).toThrow(/other bits are computed here/);
    expect(answers.decide().size).toBe(0);
  });

  it('are those that came first, of as many; workers that have left do not count', () => {
    const answers = new EngineFingerprints();
    answers.check(id('eve'), engine, B);
    answers.check(id('mal'), engine, B);
    answers.check(id('ann'), engine, A);
    answers.remove(id('mal'));
    expect([...answers.decide().keys()]).toEqual(['ann']);
  });

  it('are those of the first worker that comes to a run that waits, or of the run that is resumed', () => {
    const answers = new EngineFingerprints();
    answers.decide();
    answers.check(id('ann'), engine, A);
    expect(answers.expected).toBe(A);
    expect(() => answers.check(id('bob'), engine, B)).toThrow(/another build/);
    expect(() => new EngineFingerprints(A).check(id('bob'), engine, B)).toThrow(/--threads 1/);
    expect(() => new EngineFingerprints(A).check(id('bob'), engine, undefined)).toThrow(/has not said/);
  });

  it.each(['nonsense', '', '0123456789ABCDEF', `${A}0`])(
    'are not %j: a fingerprint is sixteen hexadecimal digits',
    (text) => {
      const frame = encodeFrame({ type: 'ready', fingerprint: text });
      expect(() => parseFromWorker(frame)).toThrow(
        expect.objectContaining({
          code: CloseCode.malformed,
          message: expect.stringMatching(/ready has .* in the field fingerprint; it should be /) as string,
        }),
      );
    },
  );
});
