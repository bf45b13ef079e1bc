import { getCodec, CODECS } from '../../shared/codec/registry.ts';
import { FACTORS } from '../../shared/codec/factors.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';

/** How a link's vectors travel, by the names of codecs. */
export interface LinkCodecs {
  /** Gradients. */
  readonly up: string;
  /** Weights: lossy ones as updates, float32 whole. */
  readonly down: string;
}

/** The same codecs for every link, or for each what suits it, chosen as the run goes. */
export type CodecRule = LinkCodecs | 'auto';

/** What --codec takes besides auto, the least lossy first, and what each choice stands for, up and down. */
export const LINK_CODECS: Readonly<Record<string, LinkCodecs>> = {
  float32: { up: 'float32', down: 'float32' },
  factors: { up: FACTORS, down: 'float32' },
  float16: { up: 'float16', down: 'float16' },
  int8: { up: 'int8', down: 'int8' },
  int4: { up: 'int4', down: 'int8' },
  'int4/int4': { up: 'int4', down: 'int4' },
};

/** A link as every worker can have it. */
export const FLOAT32_LINK: LinkCodecs = { up: 'float32', down: 'float32' };

/**
 * What a worker's link gets of the codecs that are wanted: float32 in place of those that it does not know.
 * @throws ProtocolError (unsupported) for a worker that does not know float32
 */
export function negotiateCodecs(wanted: LinkCodecs, known: readonly string[]): LinkCodecs {
  if (!known.includes('float32')) {
    throw new ProtocolError(
      CloseCode.unsupported,
      `Every worker has to offer float32, beside any others of ${CODECS.map(({ name }) => name).join(', ')}; this one does not.`,
    );
  }
  return {
    up: known.includes(wanted.up) ? wanted.up : 'float32',
    down: known.includes(wanted.down) ? wanted.down : 'float32',
  };
}

/** What --codec stands for. */
export const parseCodecRule = (name: string): CodecRule => LINK_CODECS[name] ?? 'auto';

/** 'int4/int8', up before down. */
export const codecLabel = ({ codec, updateCodec }: { codec: string; updateCodec: string | null }): string =>
  `${codec}/${updateCodec ?? 'float32'}`;

/** How vectors travel now, as history.jsonl has it: 'int4/int8', or 'float32/float32 2, int8/int8 1'; by the rule without links. */
export function codecsInUse(links: Iterable<Parameters<typeof codecLabel>[0]>, rule: CodecRule): string {
  const counts = new Map<string, number>();
  for (const link of links) counts.set(codecLabel(link), (counts.get(codecLabel(link)) ?? 0) + 1);
  if (counts.size === 0) return rule === 'auto' ? 'auto' : `${rule.up}/${rule.down}`;
  return [...counts]
    .map(([name, count]) => (counts.size === 1 ? name : `${name} ${count}`))
    .join(', ')
    .slice(0, 100);
}

/** What a welcome says of gradients: what those come in whose shard asks for nothing else. */
export const initialUplinkCodec = ({ up }: LinkCodecs): string => (up === FACTORS ? FLOAT32_LINK.up : up);

/** Whether weights that travel so are sent as updates. */
export const sendsUpdates = ({ down }: LinkCodecs): boolean => getCodec(down).lossy;
