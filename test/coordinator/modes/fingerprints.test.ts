import { describe, expect, it } from 'vitest';
import { EngineFingerprints } from '../../../coordinator/modes/fingerprints.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { encodeFrame, parseFromWorker } from '../../../shared/protocol/frame.ts';
import { exampleHello } from '../../shared/protocol/examples.ts';

const id = (name: string): WorkerId => name as WorkerId;
const { engine } = exampleHello;
const A = '0123456789abcdef';
const B = 'fedcba9876543210';

describe('EngineFingerprints', () => {
  it('fixes the fingerprint of most workers, not of the first one', () => {
    const fingerprints = new EngineFingerprints();
    fingerprints.check(id('eve'), engine, B);
    fingerprints.check(id('ann'), engine, A);
    fingerprints.check(id('bob'), engine, A);
    expect(fingerprints.expected).toBeNull();
    expect([...fingerprints.decide().keys()]).toEqual(['eve']);
    expect(fingerprints.expected).toBe(A);
    expect(() => fingerprints.check(id('mal'), engine, B)).toThrow(/engine computes other bits/);
    expect(fingerprints.decide().size).toBe(0);
  });

  it('prefers the first fingerprint if several have as many workers, and ignores workers that have left', () => {
    const fingerprints = new EngineFingerprints();
    fingerprints.check(id('eve'), engine, B);
    fingerprints.check(id('mal'), engine, B);
    fingerprints.check(id('ann'), engine, A);
    fingerprints.remove(id('mal'));
    expect([...fingerprints.decide().keys()]).toEqual(['ann']);
  });

  it('takes the fingerprint of the first worker of a waiting run, or of the run that is resumed', () => {
    const fingerprints = new EngineFingerprints();
    fingerprints.decide();
    fingerprints.check(id('ann'), engine, A);
    expect(fingerprints.expected).toBe(A);
    expect(() => fingerprints.check(id('bob'), engine, B)).toThrow(/its build or processor differs/);
    expect(() => new EngineFingerprints(A).check(id('bob'), engine, B)).toThrow(/--threads 1/);
    expect(() => new EngineFingerprints(A).check(id('bob'), engine, undefined)).toThrow(
      /sent no engine fingerprint/,
    );
  });

  it('names the version that workers of the same engine need', () => {
    const fingerprints = new EngineFingerprints();
    fingerprints.decide();
    fingerprints.check(id('ann'), { ...engine, version: '4.22.0' }, A);
    expect(() => fingerprints.check(id('bob'), { ...engine, version: '4.22.0 with FMA' }, B)).toThrow(
      'the others have wasm 4.22.0, not 4.22.0 with FMA.',
    );
  });

  it('does not blame the threads of a WebAssembly engine, which do not change bits', () => {
    for (const [backend, reason] of [
      ['wasm', /its build or processor differs/],
      ['tensorflow', /use --threads 1, like the other workers/],
    ] as const) {
      const fingerprints = new EngineFingerprints();
      fingerprints.decide();
      fingerprints.check(id('ann'), { ...engine, backend, threads: 1 }, A);
      expect(() => fingerprints.check(id('bob'), { ...engine, backend, threads: 2 }, B)).toThrow(reason);
    }
  });

  it.each(['nonsense', '', '0123456789ABCDEF', `${A}0`])(
    'a fingerprint of %j is malformed: it must be sixteen hexadecimal digits',
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
