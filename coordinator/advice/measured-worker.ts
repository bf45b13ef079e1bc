import type { Worker } from '../members/member.ts';
import { FLOAT32_LINK } from '../members/link-codecs.ts';
import type { MeasuredWorker } from './advice.ts';

/** A link of which nothing is known but that it is no trouble: within one machine. */
const LOCAL_LINK = { rttMs: 0, downMsPerByte: 0, upMsPerByte: 0 };

/** A worker and its link, by medians of its last training shards; null for one on standby, and before there are any. */
export function measureWorker(member: Worker): MeasuredWorker | null {
  const { name, link, isStandby, codec, updateCodec } = member;
  const { shard } = link;
  if (isStandby || shard === null) return null;
  const { samples, turnaroundMs, computeMs } = shard;
  const { rttMs, downMsPerByte, upMsPerByte } = link.stats ?? LOCAL_LINK;
  return {
    name,
    samples,
    turnaroundMs,
    perSampleMs: computeMs / samples,
    fixedMs: 0,
    rttMs,
    downMsPerByte,
    upMsPerByte,
    codecs: { up: codec, down: updateCodec ?? FLOAT32_LINK.down },
    gradientReadyAt: 1,
    acceptsBuckets: member.supportsBuckets,
  };
}
