import type { Shard } from '../data/shard.ts';
import { fillDropoutMask } from '../kernels/masks/dropout-masks.ts';
import type { Job } from '../model/job.ts';
import type { Step } from '../protocol/messages.ts';

/** A shard that is being got ready, and the arrays for it. */
interface PreparedShard {
  readonly step: Step;
  readonly shard: Shard;
  readonly arrays: ScratchArrays;
  /** Layers whose masks lie ready. */
  readonly readyMasks: Set<number>;
}

/**
 * What a gradient step is fed with besides the weights, as arrays: scaled images, one-hot labels, dropout masks. All
 * of it can be made ahead, of a shard or of all its micro-shards. The arrays are used again; each is good until the next
 * of its kind is asked for.
 */
export class ShardInputs {
  readonly #job: Job;
  /** What has been learnt of the dropout layers by running them: elements of one sample, and the rate. */
  readonly #layers = new Map<number, { readonly size: number; readonly rate: number }>();
  /** Made ahead, the oldest first. */
  readonly #prepared: PreparedShard[] = [];
  readonly #freeArrays: ScratchArrays[] = [];
  readonly #maxPrepared: number;
  readonly #unprepared = new ScratchArrays();
  #active: PreparedShard | null = null;
  /** Of the shard that the methods answer for. */
  #from = 0;
  #samples = 0;

  constructor(job: Job) {
    this.#job = job;
    this.#maxPrepared = job.microShard === undefined ? 1 : Math.ceil(job.batchSize / job.microShard);
  }

  /**
   * Makes the images and the masks of all layers that have run before; nothing, if that was done already. From here on
   * the other methods answer for this shard.
   */
  prepare(step: Step, shard: Shard): void {
    const made = this.#prepared.find((each) => each.step === step && each.shard === shard);
    this.#active = made ?? this.#prepareShard(step, shard);
    this.select(0, shard.labels.length);
  }

  /** From here on the other methods answer for these samples of the prepared shard alone. */
  select(from: number, samples: number): void {
    this.#from = from;
    this.#samples = samples;
  }

  /** What was prepared last is not any more. */
  discard(): void {
    if (this.#active !== null) this.#discard(this.#active);
    this.#active = null;
  }

  /** Images of the prepared shard, as the model sees them: [samples, ...sampleShape]. */
  images(): Float32Array {
    const { arrays, shard } = this.#current();
    return this.#selected(arrays.get('images', shard.images.length));
  }

  /** One-hot labels of the prepared shard: [samples, classes]. */
  target(): Float32Array {
    const { arrays, shard } = this.#current();
    const { classes } = this.#job.data;
    const values = arrays.get('target', this.#samples * classes).fill(0);
    const labels = shard.labels.subarray(this.#from, this.#from + this.#samples);
    labels.forEach((label, sample) => (values[sample * classes + label] = 1));
    return values;
  }

  /** The mask of a layer for the prepared shard. @param elements of the layer's activation, all samples */
  mask(layer: number, rate: number, elements: number): Float32Array {
    return this.#selected(this.#mask(layer, rate, elements / this.#samples));
  }

  /** Stored bytes as the model sees them. */
  scaleImages(images: Uint8Array): Float32Array {
    return this.#scale(images, this.#unprepared);
  }

  #prepareShard(step: Step, shard: Shard): PreparedShard {
    const [oldest] = this.#prepared;
    if (oldest !== undefined && (oldest.step !== step || this.#prepared.length >= this.#maxPrepared))
      this.#discard(oldest);
    const prepared = {
      step,
      shard,
      arrays: this.#freeArrays.pop() ?? new ScratchArrays(),
      readyMasks: new Set<number>(),
    };
    this.#prepared.push(prepared);
    this.#active = prepared;
    this.#scale(shard.images, prepared.arrays);
    for (const [layer, { size, rate }] of this.#layers) this.#mask(layer, rate, size);
    return prepared;
  }

  /** Of all samples of the prepared shard. @param size elements of one sample */
  #mask(layer: number, rate: number, size: number): Float32Array {
    const { step, shard, arrays, readyMasks } = this.#current();
    const mask = arrays.get(`mask ${layer}`, size * shard.labels.length);
    // A layer may be applied to activations of two sizes in one step: only the last of them lies ready.
    if (readyMasks.has(layer) && this.#layers.get(layer)?.size === size) return mask;
    this.#layers.set(layer, { size, rate });
    fillDropoutMask(mask, { seed: this.#job.seed, step }, shard.sampleNumbers, layer, size, rate);
    readyMasks.add(layer);
    return mask;
  }

  /** @param values of all samples of the prepared shard */
  #selected(values: Float32Array): Float32Array {
    const each = values.length / this.#current().shard.labels.length;
    return values.subarray(this.#from * each, (this.#from + this.#samples) * each);
  }

  #discard(prepared: PreparedShard): void {
    const at = this.#prepared.indexOf(prepared);
    if (at < 0) return;
    this.#prepared.splice(at, 1);
    this.#freeArrays.push(prepared.arrays);
  }

  #scale(images: Uint8Array, arrays: ScratchArrays): Float32Array {
    const { scale } = this.#job.data;
    const values = arrays.get('images', images.length);
    for (let i = 0; i < values.length; i++) values[i] = (images[i] as number) * scale;
    return values;
  }

  #current(): PreparedShard {
    if (this.#active === null) throw new Error('No shard was prepared.');
    return this.#active;
  }
}

/**
 * Arrays that are filled anew in every step: tf copies them when it computes, and megabytes of garbage a step would keep
 * the garbage collector busy. One array a purpose, replaced when another length is asked for.
 */
export class ScratchArrays {
  readonly #arrays = new Map<string, Float32Array>();

  /** @returns `length` values of any content, free to be overwritten until the purpose's next taking */
  get(purpose: string, length: number): Float32Array {
    const held = this.#arrays.get(purpose);
    if (held?.length === length) return held;
    const fresh = new Float32Array(length);
    this.#arrays.set(purpose, fresh);
    return fresh;
  }
}
