import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checksum, verifyChecksum, withChecksums } from '../../../shared/protocol/checksum.ts';
import type { Connection } from '../../../shared/protocol/transport.ts';
import { checkProperty } from '../../support/property.ts';

function pair(): { connection: Connection; sent: Uint8Array[] } {
  const sent: Uint8Array[] = [];
  const bare: Connection = {
    send: (frame) => void sent.push(frame),
    close: () => undefined,
    terminate: () => undefined,
    bufferedBytes: 0,
  };
  return { connection: withChecksums(bare), sent };
}

describe('checksums of frames', () => {
  it('match the values in PROTOCOL.md at any alignment of the bytes', () => {
    expect(checksum(new Uint8Array(0))).toBe(0x063426ee);
    expect(checksum(Uint8Array.of(1, 2, 3))).toBe(0x5c2fc61d);
    const counted = Uint8Array.from({ length: 23 }, (_, i) => i);
    expect(checksum(counted)).toBe(0xf01f5883);
    expect(checksum(Buffer.from(new ArrayBuffer(30), 3, 23).fill(counted))).toBe(0xf01f5883);
  });

  it('are appended to each frame', () => {
    const { connection, sent } = pair();
    const frames = [Uint8Array.of(1), Uint8Array.of(2, 3), new Uint8Array(0)];
    for (const frame of frames) connection.send(frame);
    expect(sent.map((bytes) => bytes.length)).toEqual([5, 6, 4]);
    expect(sent.map((bytes) => verifyChecksum(bytes))).toEqual(frames);
  });

  it('detect a changed bit, a truncated frame and a missing checksum', () => {
    const frame = fc.uint8Array({ minLength: 1, maxLength: 60 });
    checkProperty(
      fc.property(frame, fc.nat(), (bytes, at) => {
        const { connection, sent } = pair();
        connection.send(bytes);
        const checked = sent[0]!;
        expect(verifyChecksum(checked)).toEqual(bytes);
        const damaged = checked.slice();
        damaged[(at >> 3) % checked.length]! ^= 1 << (at & 7);
        const error = /checksum of a frame does not match/;
        expect(() => verifyChecksum(damaged)).toThrow(error);
        expect(() => verifyChecksum(checked.subarray(0, at % checked.length))).toThrow(error);
        expect(() => verifyChecksum(bytes)).toThrow(error);
      }),
      { seed: 1 },
    );
  });
});
