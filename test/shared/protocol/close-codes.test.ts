import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CloseCode, closeReason, FATAL_CLOSE_CODES } from '../../../shared/protocol/close-codes.ts';
import { checkProperty } from '../../support/property.ts';

describe('closeReason', () => {
  it('always fits into a close frame and never splits a character', () => {
    checkProperty(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (sentence) => {
        const reason = closeReason(sentence);
        const isCut = reason.endsWith('…') && sentence.startsWith(reason.slice(0, -1));
        return (
          Buffer.byteLength(reason) <= 123 &&
          (reason === sentence || isCut) &&
          Buffer.from(reason).toString() === reason
        );
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('does not change sentences of at most 120 bytes', () => {
    expect(closeReason('a'.repeat(120))).toBe('a'.repeat(120));
    expect(closeReason('ä'.repeat(60))).toBe('ä'.repeat(60));
    expect(closeReason('a'.repeat(200))).toBe(`${'a'.repeat(120)}…`);
  });
});

describe('close codes', () => {
  it('are all different', () => {
    expect(new Set(Object.values(CloseCode)).size).toBe(Object.keys(CloseCode).length);
  });

  it('allow a worker to reconnect after a lost connection, silence, damage or a limit, and after no other code', () => {
    const mayReturn = Object.values(CloseCode).filter((code) => !FATAL_CLOSE_CODES.has(code));
    expect(mayReturn).toEqual([
      CloseCode.normal,
      CloseCode.timeout,
      CloseCode.checksumMismatch,
      CloseCode.noFreeSlot,
      CloseCode.tooManyMessages,
      CloseCode.noRun,
    ]);
  });
});
