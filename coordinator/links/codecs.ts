import type { Codec } from '../../shared/codec/codec.ts';
import { getCodec, CODECS } from '../../shared/codec/registry.ts';
import { FACTORS } from '../../shared/codec/factors.ts';
import type { Job } from '../../shared/model/job.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';

/** Names of a link's codecs. */
export interface LinkCodecs {
  /** Codec of gradients. */
  readonly up: string;
  /** Codec of weights. A lossy codec encodes updates, float32 whole weights. */
  readonly down: string;
}

/** Fixed codecs for all links, or codecs that are selected for each link during the run. */
export type CodecRule = LinkCodecs | 'auto';

/** Name of --codec, or the codecs themselves. */
export type CodecChoice = string | LinkCodecs;

/** Values of --codec beside auto, the least lossy first, with the codecs that they select. */
export const LINK_CODECS: Readonly<Record<string, LinkCodecs>> = {
  float32: { up: 'float32', down: 'float32' },
  factors: { up: FACTORS, down: 'float32' },
  float16: { up: 'float16', down: 'float16' },
  int8: { up: 'int8', down: 'int8' },
  int4: { up: 'int4', down: 'int8' },
  'int4/int4': { up: 'int4', down: 'int4' },
};

/** Codecs that every worker supports. */
export const FLOAT32_LINK: LinkCodecs = { up: 'float32', down: 'float32' };

/**
 * Codecs for a worker's link: the requested ones, with float32 instead of those that the worker does not support.
 * @throws ProtocolError (unsupported) for a worker that does not support float32
 */
export function negotiateCodecs(requested: LinkCodecs, supported: readonly string[]): LinkCodecs {
  if (!supported.includes('float32')) {
    const names = CODECS.map(({ name }) => name).join(', ');
    throw new ProtocolError(
      CloseCode.unsupported,
      `This worker does not support float32, as every worker must. The coordinator supports ${names}.`,
    );
  }
  return {
    up: supported.includes(requested.up) ? requested.up : 'float32',
    down: supported.includes(requested.down) ? requested.down : 'float32',
  };
}

/** Codecs that a value of --codec selects. */
export const parseCodecRule = (name: string): CodecRule => LINK_CODECS[name] ?? 'auto';

/** The same for a job. An exact run adds float32 values; a lossy codec would round them on the way. */
export function codecRuleFor({ microShard }: Pick<Job, 'microShard'>, codec: CodecChoice): CodecRule {
  if (microShard !== undefined) return FLOAT32_LINK;
  return typeof codec === 'string' ? parseCodecRule(codec) : codec;
}

/** 'int4/int8': the codec of gradients, then the codec of weights. */
export const codecLabel = ({ codec, updateCodec }: { codec: string; updateCodec: string | null }): string =>
  `${codec}/${updateCodec ?? 'float32'}`;

/** Codecs in use as history.jsonl shows them: 'int4/int8', 'float32/float32 2, int8/int8 1', or the rule without links. */
export function codecsInUse(links: Iterable<Parameters<typeof codecLabel>[0]>, rule: CodecRule): string {
  const counts = new Map<string, number>();
  for (const link of links) counts.set(codecLabel(link), (counts.get(codecLabel(link)) ?? 0) + 1);
  if (counts.size === 0) return rule === 'auto' ? 'auto' : `${rule.up}/${rule.down}`;
  return [...counts]
    .map(([name, count]) => (counts.size === 1 ? name : `${name} ${count}`))
    .join(', ')
    .slice(0, 100);
}

/** Gradient codec that a welcome names, for shards that request no other. Factors must be requested shard by shard. */
export const initialUplinkCodec = ({ up }: LinkCodecs): Codec =>
  getCodec(up === FACTORS ? FLOAT32_LINK.up : up);

/** Whether weights are sent as updates. */
export const sendsUpdates = ({ down }: LinkCodecs): boolean => getCodec(down).lossy;
