import type { Shard } from '../data/shard.ts';
import { convertTensor, sampleSize, type TensorSpec, type TensorValues } from '../model/tensors.ts';
import { lossDefinition } from '../model/losses.ts';
import { outputWidth, type OutputSpec } from '../model/outputs.ts';
import { writeOneHot } from '../model/scoring.ts';
import { sampleKeys } from '../kernels/masks/dropout-masks.ts';
import { fillRandomValues, type Draw } from '../kernels/masks/random-values.ts';
import type { Job } from '../model/job.ts';
import type { Step } from '../protocol/messages.ts';

/** Prepared shard with its arrays. */
interface PreparedShard {
  readonly step: Step;
  readonly shard: Shard;
  readonly arrays: ScratchArrays;
  /** Layers whose masks are computed. */
  readonly readyMasks: Set<number>;
}

/**
 * Inputs of a gradient step besides the weights, as arrays: converted inputs and targets, and random values of layers. They can be
 * prepared in advance for a shard or for all its micro-shards. The arrays are reused; each is valid until the next call of the
 * same method.
 */
export class ShardInputs {
  readonly #job: Job;
  /** Random layers that have run before: elements of one sample, and their distribution. */
  readonly #layers = new Map<number, { readonly size: number; readonly draw: Draw }>();
  /** Shards prepared in advance, the oldest first. */
  readonly #prepared: PreparedShard[] = [];
  readonly #freeArrays: ScratchArrays[] = [];
  readonly #maxPrepared: number;
  readonly #unprepared = new ScratchArrays();
  #active: PreparedShard | null = null;
  /** First selected sample of the active shard. */
  #from = 0;
  /** Number of selected samples. */
  #samples = 0;

  constructor(job: Job) {
    this.#job = job;
    this.#maxPrepared = job.microShard === undefined ? 1 : Math.ceil(job.batchSize / job.microShard);
  }

  /**
   * Selects a shard for the other methods. Converts its inputs and computes the masks of all layers that have run before, unless they
   * are prepared.
   */
  prepare(step: Step, shard: Shard): void {
    const existing = this.#prepared.find((entry) => entry.step === step && entry.shard === shard);
    this.#active = existing ?? this.#prepareShard(step, shard);
    this.select(0, shard.sampleNumbers.length);
  }

  /** Restricts the other methods to some samples of the active shard. */
  select(from: number, samples: number): void {
    this.#from = from;
    this.#samples = samples;
  }

  /** Frees the arrays of the active shard. */
  discard(): void {
    if (this.#active !== null) this.#discard(this.#active);
    this.#active = null;
  }

  /** Values of each input of the selected samples: [samples, ...shape]. */
  values(): Float32Array[] {
    const { arrays, shard } = this.#current();
    return shard.inputs.map((stored, i) => this.#selected(arrays.get(`input ${i}`, stored.length)));
  }

  /**
   * Each target of the selected samples in the shape of its output, one-hot for a class; then the samples' weights, if the job
   * has any.
   */
  targets(): Float32Array[] {
    const { arrays, shard } = this.#current();
    const stored = shard.targets.map((values) => this.#selected(values));
    const targets = this.#convertTargets(stored, this.#samples, arrays);
    return shard.weights === undefined ? targets : [...targets, this.#selected(shard.weights)];
  }

  /** Random values of a layer for the selected samples. @param elements of all selected samples */
  mask(layer: number, draw: Draw, elements: number): Float32Array {
    return this.#selected(this.#mask(layer, draw, elements / this.#samples));
  }

  /** Keys of the selected samples' random values, for a device that computes them: [samples, 2]. */
  keys(): Uint32Array {
    const { step, shard } = this.#current();
    const numbers = shard.sampleNumbers.subarray(this.#from, this.#from + this.#samples);
    return sampleKeys({ seed: this.#job.seed, step }, numbers);
  }

  /** Values of inputs that belong to no prepared shard. @param inputs stored values of each input of the job */
  convert(inputs: readonly TensorValues[]): Float32Array[] {
    return this.#convert(inputs, this.#unprepared);
  }

  /** Targets of a shard that is not prepared, as targets() returns them without the samples' weights. */
  convertTargets({ targets, sampleNumbers }: Shard): Float32Array[] {
    return this.#convertTargets(targets, sampleNumbers.length, this.#unprepared);
  }

  #convertTargets(stored: readonly TensorValues[], samples: number, arrays: ScratchArrays): Float32Array[] {
    return this.#job.outputs.map((output, i) => {
      const own = stored[i] ?? new Float32Array(0);
      const values = arrays.get(`target ${i}`, samples * sampleSize(output));
      const spec = this.#job.targets[i] as TensorSpec;
      if (values.length === own.length && !isClassOf(output)) convertTensor(spec, own, values);
      else writeOneHot(own, outputWidth(output), values);
      return values;
    });
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
    this.#convert(shard.inputs, prepared.arrays);
    for (const [layer, { size, draw }] of this.#layers) this.#mask(layer, draw, size);
    return prepared;
  }

  /** Random values for all samples of the active shard. @param size elements of one sample */
  #mask(layer: number, draw: Draw, size: number): Float32Array {
    const { step, shard, arrays, readyMasks } = this.#current();
    const mask = arrays.get(`mask ${layer}`, size * shard.sampleNumbers.length);
    // A layer may run on activations of two sizes in one step; only the mask of the last size is stored.
    if (readyMasks.has(layer) && this.#layers.get(layer)?.size === size) return mask;
    this.#layers.set(layer, { size, draw });
    fillRandomValues(mask, { seed: this.#job.seed, step }, shard.sampleNumbers, layer, size, draw);
    readyMasks.add(layer);
    return mask;
  }

  /** Values of the selected samples. @param values of all samples of the active shard */
  #selected<Values extends TensorValues>(values: Values): Values {
    const sampleSize = values.length / this.#current().shard.sampleNumbers.length;
    return values.subarray(this.#from * sampleSize, (this.#from + this.#samples) * sampleSize) as Values;
  }

  #discard(prepared: PreparedShard): void {
    const index = this.#prepared.indexOf(prepared);
    if (index < 0) return;
    this.#prepared.splice(index, 1);
    this.#freeArrays.push(prepared.arrays);
  }

  #convert(inputs: readonly TensorValues[], arrays: ScratchArrays): Float32Array[] {
    return this.#job.inputs.map((spec, i) => {
      const stored = inputs[i] ?? new Float32Array(0);
      const values = arrays.get(`input ${i}`, stored.length);
      convertTensor(spec, stored, values);
      return values;
    });
  }

  #current(): PreparedShard {
    if (this.#active === null) throw new Error('No shard was prepared.');
    return this.#active;
  }
}

/** Whether the target of an output is a class. */
const isClassOf = ({ loss }: OutputSpec): boolean => lossDefinition(loss.name).isSparse === true;

/**
 * Arrays that every step fills again, because megabytes of garbage in each step would keep the garbage collector busy. There is
 * one array for each purpose; a request for another length replaces it.
 */
export class ScratchArrays {
  readonly #arrays = new Map<string, Float32Array>();

  /** @returns `length` values of any content, valid until the next call with the same purpose */
  get(purpose: string, length: number): Float32Array {
    const existing = this.#arrays.get(purpose);
    if (existing?.length === length) return existing;
    const fresh = new Float32Array(length);
    this.#arrays.set(purpose, fresh);
    return fresh;
  }
}
