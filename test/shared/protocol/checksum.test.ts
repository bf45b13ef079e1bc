import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checksum, ChecksumVerifier, withChecksums } from '../../../shared/protocol/checksum.ts';
import type { Connection } from '../../../shared/protocol/transport.ts';
import { checkProperty } from '../../support/property.ts';

function pair(): { connection: ReturnType<typeof withChecksums>; sent: Uint8Array[] } {
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
  it('are those that PROTOCOL.md gives, wherever the bytes lie', () => {
    expect(checksum(new Uint8Array(0))).toBe(0x063426ee);
    expect(checksum(Uint8Array.of(1, 2, 3))).toBe(0x5c2fc61d);
    const counted = Uint8Array.from({ length: 23 }, (_, i) => i);
    expect(checksum(counted)).toBe(0xf01f5883);
    expect(checksum(Buffer.from(new ArrayBuffer(30), 3, 23).fill(counted))).toBe(0xf01f5883);
  });

  it('follow each frame from the moment that was agreed on', () => {
    const { connection, sent } = pair();
    const checker = new ChecksumVerifier();
    const frames = [Uint8Array.of(1), Uint8Array.of(2, 3), new Uint8Array(0)];
    connection.send(frames[0]!);
    expect(checker.verify(sent[0]!)).toBe(frames[0]);
    connection.enableChecksums();
    checker.enable();
    connection.send(frames[1]!);
    connection.send(frames[2]!);
    expect(sent.slice(1).map((bytes) => checker.verify(bytes))).toEqual([null, frames[1], null, frames[2]]);
  });

  it('tell a frame with a changed bit, a cut one, one that comes twice and one that is missing', () => {
    const frame = fc.uint8Array({ minLength: 1, maxLength: 60 });
    checkProperty(
      fc.property(frame, frame, fc.nat(), (one, other, at) => {
        const { connection, sent } = pair();
        connection.enableChecksums();
        connection.send(one);
        connection.send(other);
        const damaged = one.slice();
        damaged[(at >> 3) % one.length]! ^= 1 << (at & 7);
        const hears = (...bytes: Uint8Array[]) => {
          const checker = new ChecksumVerifier();
          checker.enable();
          return () => bytes.forEach((each) => checker.verify(each));
        };
        const [first, seal, second, secondSeal] = sent as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
        expect(hears(first, seal, second, secondSeal)).not.toThrow();
        const says = /another checksum/;
        expect(hears(damaged, seal)).toThrow(says);
        expect(hears(first.subarray(0, at % one.length), seal)).toThrow(says);
        expect(hears(first, first, seal)).toThrow(says);
        expect(hears(seal, second)).toThrow(says);
      }),
      { seed: 1 },
    );
  });
});
