import type { Member } from '../members/member.ts';
import { PLAIN, sendsUpdates, type LinkCodecs } from '../members/link-codecs.ts';
import { FACTORS, worthFactoring } from '../../shared/codec/factors.ts';
import { CodecChoice, LADDER, vectorsFor, type Candidate, type Vectors } from './choose-codecs.ts';
import type { LinkFigures } from './link-figures.ts';

/** A link whose codecs have changed. */
export interface Recoded {
  readonly member: Member;
  readonly figures: LinkFigures;
  /** What a shard is to take from now on. */
  readonly ms: number;
}

/**
 * Chooses for each link how its vectors travel, step by step. All updates are made by one codec, the most frugal one that
 * a link has chosen: whoever computes has the same weights. Once there are updates everybody gets them who can, for
 * whole weights would bring nothing but more bytes.
 */
export class AdaptiveCodecs {
  readonly #vectors: Vectors;
  readonly #choices = new WeakMap<Member, CodecChoice>();

  constructor(vectors: Vectors) {
    this.#vectors = vectors;
  }

  /**
   * Called between two steps.
   * @returns what links have chosen anew
   */
  next(members: readonly Member[]): Recoded[] {
    const recoded: Recoded[] = [];
    const adaptive = members.filter(({ recodes }) => recodes.length > 0);
    // One after the other: two that hold each other's codec must not let go of it together.
    for (const member of adaptive) {
      const choice = this.#choices.get(member) ?? new CodecChoice();
      this.#choices.set(member, choice);
      const { figures } = member.link;
      if (figures === null) continue;
      const others = this.#frugalDown(adaptive.filter((other) => other !== member));
      const ms = choice.next(
        figures,
        codecsOf(member),
        this.#candidatesFor(member, others, figures.samples),
        vectorsFor(member, this.#vectors),
      );
      if (ms !== null) recoded.push({ member, figures, ms });
    }
    const down = this.#frugalDown(adaptive);
    for (const member of adaptive) this.#apply(member, down);
    return recoded;
  }

  #apply(member: Member, down: string): void {
    const before = codecsOf(member);
    const { up } = LADDER[this.#choices.get(member)?.rung ?? 0] ?? PLAIN;
    member.codec = up;
    member.updateCodec = down !== PLAIN.down && member.recodes.includes(down) ? down : null;
    const after = codecsOf(member);
    if (before.up === after.up && before.down === after.down) return;
    member.link.changed();
    // What came ahead was of weights, or of an update, and the rest would be of the other kind.
    if (sendsUpdates(before) !== sendsUpdates(after)) member.ahead = null;
  }

  /** @param down what others' updates are encoded by */
  #candidatesFor({ recodes }: Member, down: string, samples: number): Candidate[] {
    const { kernel } = this.#vectors;
    const factored = kernel !== null && worthFactoring(kernel, samples);
    const knows = (codecs: LinkCodecs): boolean =>
      recodes.includes(codecs.up) && (!sendsUpdates(codecs) || recodes.includes(codecs.down));
    const least = LADDER.findIndex((codecs) => codecs.down === down);
    return LADDER.flatMap((codecs, rung) => {
      if (!knows(codecs) || (codecs.up === FACTORS && !factored)) return [];
      const frugal = rung < least && recodes.includes(down) ? { ...codecs, down } : codecs;
      return [{ rung, codecs: frugal }];
    });
  }

  #frugalDown(members: readonly Member[]): string {
    const rungs = members.map((member) => this.#choices.get(member)?.rung ?? 0);
    return LADDER[Math.max(0, ...rungs)]?.down ?? PLAIN.down;
  }
}

const codecsOf = ({ codec, updateCodec }: Member): LinkCodecs => ({
  up: codec,
  down: updateCodec ?? PLAIN.down,
});
