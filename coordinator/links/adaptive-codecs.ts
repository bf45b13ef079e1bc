import type { Member } from '../members/member.ts';
import { PLAIN, sendsUpdates, type LinkCodecs } from '../members/link-codecs.ts';
import { CANDIDATES, CodecChoice } from './choose-codecs.ts';
import type { LinkFigures } from './link-figures.ts';

/** A link whose codecs have changed. */
export interface Recoded {
  readonly member: Member;
  readonly codecs: LinkCodecs;
  readonly figures: LinkFigures;
  /** What a shard is to take from now on. */
  readonly ms: number;
}

/** Chooses for each link how its vectors travel, step by step. */
export class AdaptiveCodecs {
  readonly #values: number;
  readonly #choices = new WeakMap<Member, CodecChoice>();

  /** @param values in a gradient */
  constructor(values: number) {
    this.#values = values;
  }

  /**
   * Called between two steps. Updates are made by one codec for everybody, so that all workers compute with the same
   * weights: the most frugal one that a link has chosen.
   * @returns what has changed
   */
  next(members: readonly Member[]): Recoded[] {
    const recoded: Recoded[] = [];
    const adaptive = members.filter(({ recodes }) => recodes.length > 0);
    for (const member of adaptive) {
      const choice = this.#choices.get(member) ?? new CodecChoice();
      this.#choices.set(member, choice);
      const { figures } = member.link;
      if (figures === null) continue;
      const change = choice.next(figures, candidatesOf(member), this.#values);
      if (change === null) continue;
      recoded.push({ member, figures, ...change });
      member.link.changed();
    }
    const common = this.#commonDown(adaptive);
    for (const member of adaptive) {
      const { up, down } = this.#choices.get(member)?.codecs ?? PLAIN;
      member.codec = up;
      const updateCodec = down !== PLAIN.down && member.recodes.includes(common) ? common : null;
      if (member.updateCodec === updateCodec) continue;
      member.updateCodec = updateCodec;
      // What came ahead was made for the old one.
      member.tailStep = null;
    }
    return recoded;
  }

  #commonDown(members: readonly Member[]): string {
    return members.reduce<LinkCodecs>((common, member) => {
      const chosen = this.#choices.get(member)?.codecs ?? PLAIN;
      return CANDIDATES.indexOf(chosen) > CANDIDATES.indexOf(common) ? chosen : common;
    }, PLAIN).down;
  }
}

const candidatesOf = ({ recodes }: Member): LinkCodecs[] =>
  CANDIDATES.filter(
    (codecs) => recodes.includes(codecs.up) && (!sendsUpdates(codecs) || recodes.includes(codecs.down)),
  );
