import type { Shard } from '../data/shard.ts';
import { fillDropoutMask } from '../model/dropout.ts';
import type { Job } from '../model/job.ts';
import type { Step } from '../protocol/messages.ts';
import { ScratchArrays } from './scratch-arrays.ts';

/**
 * What a gradient step is fed with besides the weights, as arrays: scaled images, one-hot labels, dropout masks. All
 * of it can be made ahead. The arrays are used again; each is good until the next of its kind is asked for.
 */
export class ShardInputs {
  readonly #job: Job;
  readonly #scratch = new ScratchArrays();
  /** What has been learnt of the dropout layers by running them: elements of one sample, and the rate. */
  readonly #layers = new Map<number, { readonly size: number; readonly rate: number }>();
  /** Layers whose masks for the current shard lie ready. */
  readonly #ready = new Set<number>();
  #prepared: { readonly step: Step; readonly shard: Shard } | null = null;

  constructor(job: Job) {
    this.#job = job;
  }

  /**
   * Makes the images and the masks of all layers that have run before; nothing, if that was done already. From here on
   * the other methods answer for this shard.
   */
  prepare(step: Step, shard: Shard): void {
    if (this.#prepared?.step === step && this.#prepared.shard === shard) return;
    this.scaled(shard.images);
    this.#prepared = { step, shard };
    for (const [layer, { size, rate }] of this.#layers) {
      this.mask(layer, rate, size * shard.labels.length);
      this.#ready.add(layer);
    }
  }

  /** Nothing is prepared any more. */
  forget(): void {
    this.#prepared = null;
    this.#ready.clear();
  }

  /** Images of the prepared shard, as the model sees them: [samples, ...sampleShape]. */
  images(): Float32Array {
    return this.#scratch.take('images', this.#current().shard.images.length);
  }

  /** One-hot labels of the prepared shard: [samples, classes]. */
  target(): Float32Array {
    const { labels } = this.#current().shard;
    const { classes } = this.#job.data;
    const values = this.#scratch.take('target', labels.length * classes).fill(0);
    labels.forEach((label, sample) => (values[sample * classes + label] = 1));
    return values;
  }

  /** The mask of a layer for the prepared shard. @param elements of the layer's activation, all samples */
  mask(layer: number, rate: number, elements: number): Float32Array {
    const { step, shard } = this.#current();
    const mask = this.#scratch.take(`mask ${layer}`, elements);
    const size = elements / shard.labels.length;
    // A layer may be applied to activations of two sizes in one step: only the last of them was made ahead.
    if (this.#ready.has(layer) && this.#layers.get(layer)?.size === size) return mask;
    this.#layers.set(layer, { size, rate });
    fillDropoutMask(mask, { seed: this.#job.seed, step }, shard.sampleNumbers, layer, size, rate);
    return mask;
  }

  /** Stored bytes as the model sees them; forgets what was prepared. */
  scaled(images: Uint8Array): Float32Array {
    this.forget();
    const { scale } = this.#job.data;
    const values = this.#scratch.take('images', images.length);
    for (let i = 0; i < values.length; i++) values[i] = (images[i] as number) * scale;
    return values;
  }

  #current(): { readonly step: Step; readonly shard: Shard } {
    if (this.#prepared === null) throw new Error('No shard was prepared.');
    return this.#prepared;
  }
}
