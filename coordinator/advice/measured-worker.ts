import type { Member } from '../members/member.ts';
import { PLAIN } from '../members/link-codecs.ts';
import type { MeasuredWorker } from './advice.ts';

/** A link of which nothing is known but that it is no trouble: within one machine. */
const NO_LINK = { rttMs: 0, downMsPerByte: 0, upMsPerByte: 0 };

/** A worker and its link, by medians of its last training shards; null for one on standby, and before there are any. */
export function measuredWorker(member: Member): MeasuredWorker | null {
  const { name, link, reserve, codec, updateCodec } = member;
  const { shard } = link;
  if (reserve || shard === null) return null;
  const { samples, turnaroundMs, computeMs } = shard;
  const { rttMs, downMsPerByte, upMsPerByte } = link.figures ?? NO_LINK;
  return {
    name,
    samples,
    turnaroundMs,
    perSampleMs: computeMs / samples,
    fixedMs: 0,
    rttMs,
    downMsPerByte,
    upMsPerByte,
    codecs: { up: codec, down: updateCodec ?? PLAIN.down },
    tailAt: 1,
    tails: member.tails,
  };
}
