import type { Worker } from '../members/member.ts';
import { FLOAT32_LINK, sendsUpdates, type LinkCodecs } from '../members/link-codecs.ts';
import { FACTORS, areFactorsSmaller } from '../../shared/codec/factors.ts';
import { CodecSelector, CODEC_LEVELS, payloadShapeFor, type CodecCandidate, type PayloadShape } from './choose-codecs.ts';
import type { LinkStats } from './link-figures.ts';

/** A link whose codecs have changed. */
export interface CodecChanged {
  readonly worker: Worker;
  readonly stats: LinkStats;
  /** What a shard is to take from now on. */
  readonly expectedMs: number;
}

/**
 * Chooses for each link how its vectors travel, step by step. All updates are made by one codec, the most frugal one that
 * a link has chosen: whoever computes has the same weights. Once there are updates everybody gets them who can, for
 * whole weights would bring nothing but more bytes.
 */
export class AdaptiveCodecs {
  readonly #payload: PayloadShape;
  readonly #selectors = new WeakMap<Worker, CodecSelector>();

  constructor(vectors: PayloadShape) {
    this.#payload = vectors;
  }

  /**
   * Called between two steps.
   * @returns what links have chosen anew
   */
  selectCodecs(members: readonly Worker[]): CodecChanged[] {
    const recoded: CodecChanged[] = [];
    const adaptive = members.filter(({ switchableCodecs }) => switchableCodecs.length > 0);
    // One after the other: two that hold each other's codec must not let go of it together.
    for (const worker of adaptive) {
      const choice = this.#selectors.get(worker) ?? new CodecSelector();
      this.#selectors.set(worker, choice);
      const { stats } = worker.link;
      if (stats === null) continue;
      const others = this.#cheapestDownlink(adaptive.filter((other) => other !== worker));
      const expectedMs = choice.next(
        stats,
        currentCodecs(worker),
        this.#candidatesFor(worker, others, stats.samples),
        payloadShapeFor(worker.supportsBuckets, this.#payload),
      );
      if (expectedMs !== null) recoded.push({ worker, stats, expectedMs });
    }
    const down = this.#cheapestDownlink(adaptive);
    for (const member of adaptive) this.#apply(member, down);
    return recoded;
  }

  #apply(member: Worker, down: string): void {
    const before = currentCodecs(member);
    const { up } = CODEC_LEVELS[this.#selectors.get(member)?.level ?? 0] ?? FLOAT32_LINK;
    member.codec = up;
    member.updateCodec = down !== FLOAT32_LINK.down && member.switchableCodecs.includes(down) ? down : null;
    const after = currentCodecs(member);
    if (before.up === after.up && before.down === after.down) return;
    member.link.onCodecChange();
    // What came ahead was of weights, or of an update, and the rest would be of the other kind.
    if (sendsUpdates(before) !== sendsUpdates(after)) member.prefetchedWeights = null;
  }

  /** @param down what others' updates are encoded by */
  #candidatesFor({ switchableCodecs }: Worker, down: string, samples: number): CodecCandidate[] {
    const { kernel } = this.#payload;
    const factored = kernel !== null && areFactorsSmaller(kernel, samples);
    const knows = (codecs: LinkCodecs): boolean =>
      switchableCodecs.includes(codecs.up) && (!sendsUpdates(codecs) || switchableCodecs.includes(codecs.down));
    const least = CODEC_LEVELS.findIndex((codecs) => codecs.down === down);
    return CODEC_LEVELS.flatMap((codecs, level) => {
      if (!knows(codecs) || (codecs.up === FACTORS && !factored)) return [];
      const frugal = level < least && switchableCodecs.includes(down) ? { ...codecs, down } : codecs;
      return [{ level, codecs: frugal }];
    });
  }

  #cheapestDownlink(members: readonly Worker[]): string {
    const rungs = members.map((member) => this.#selectors.get(member)?.level ?? 0);
    return CODEC_LEVELS[Math.max(0, ...rungs)]?.down ?? FLOAT32_LINK.down;
  }
}

const currentCodecs = ({ codec, updateCodec }: Worker): LinkCodecs => ({
  up: codec,
  down: updateCodec ?? FLOAT32_LINK.down,
});
