import type * as tfjs from '@tensorflow/tfjs';
import type { ActivityPenalty } from '../model/activity-penalties.ts';
import type { TF } from '../util/tf.ts';
import { sizeOf } from '../model/layout.ts';

/** Layers inside a layer: those of a model, and both of a Bidirectional. */
interface LayerContainer extends tfjs.layers.Layer {
  readonly layers?: readonly LayerContainer[];
  readonly forwardLayer?: LayerContainer;
  readonly backwardLayer?: LayerContainer;
}

/** All layers by their names. */
function collectLayers(layer: LayerContainer, found: Map<string, tfjs.layers.Layer[]>): void {
  const { layers = [], forwardLayer, backwardLayer } = layer;
  for (const inner of [...layers, forwardLayer, backwardLayer]) {
    if (inner === undefined) continue;
    // tfjs-layers names both layers of a Bidirectional after the layer of the topology.
    const name =
      inner === forwardLayer || inner === backwardLayer
        ? inner.name.replace(/^(for|back)ward_/, '')
        : inner.name;
    found.set(name, [...(found.get(name) ?? []), inner]);
    collectLayers(inner, found);
  }
}

/** Penalties of the outputs of a model's layers. */
export class ActivityPenalties {
  readonly #tf: TF;
  /** Penalties of the calls of the current pass, each [samples]; null outside of a pass. */
  #parts: tfjs.Tensor[] | null = null;

  /**
   * Adds the computation of penalties to the calls of layers.
   * @param penalties by the layers' names in the topology
   * @throws Error if the model does not have one of the layers
   */
  constructor(tf: TF, model: tfjs.layers.Layer, penalties: ReadonlyMap<string, ActivityPenalty>) {
    this.#tf = tf;
    const layers = new Map<string, tfjs.layers.Layer[]>();
    collectLayers(model, layers);
    for (const [name, penalty] of penalties) {
      const penalized = layers.get(name);
      if (penalized === undefined)
        throw new Error(`The model has no layer ${name} whose output has a penalty.`);
      for (const layer of penalized) {
        const call = layer.call.bind(layer);
        layer.call = (inputs, kwargs) => {
          const results = call(inputs, kwargs);
          for (const output of [results].flat()) {
            // The tensors of a layer's call are disposed of with the call.
            this.#parts?.push(tf.keep(tf.tidy(() => penaltyOf(tf, output, penalty))));
          }
          return results;
        };
      }
    }
  }

  /**
   * Runs a forward pass.
   * @returns the outputs of the model, then the penalty of each sample, [samples]
   */
  collect(pass: () => tfjs.Tensor[]): tfjs.Tensor[] {
    const parts: tfjs.Tensor[] = [];
    this.#parts = parts;
    try {
      const outputs = pass();
      const total = this.#tf.tidy(() => parts.reduce((sum, part) => this.#tf.add(sum, part)).clone());
      return [...outputs, total];
    } finally {
      this.#parts = null;
      this.#tf.dispose(parts);
    }
  }
}

/** Penalty of each sample, [samples]. @param output [samples, ...] */
function penaltyOf(tf: TF, output: tfjs.Tensor, { l1, l2, activation }: ActivityPenalty): tfjs.Tensor {
  const [samples = 0, ...rest] = output.shape;
  const values =
    activation === 'softmax' ? tf.softmax(output) : activation === 'sigmoid' ? tf.sigmoid(output) : output;
  const rows = tf.reshape(values, [samples, sizeOf(rest)]);
  // The gradient of a magnitude is 0 at 0, where that of tfjs is -1.
  const magnitudes = l1 === 0 ? null : tf.mul(tf.add(tf.relu(rows), tf.relu(tf.neg(rows))), l1);
  const squares = l2 === 0 ? null : tf.mul(tf.square(rows), l2);
  const terms = magnitudes === null ? squares : squares === null ? magnitudes : tf.add(magnitudes, squares);
  return terms === null ? tf.zeros([samples]) : tf.sum(terms, 1);
}
