// A layer, a loss and a metric. gradcast calls this function with TensorFlow.js; the file has no imports.
export default (tf) => {
  /** x + scale * relu(x W + b): a dense layer beside its input. */
  class ScaledResidualDense extends tf.layers.Layer {
    static className = 'ScaledResidualDense';

    constructor(config) {
      super(config);
      this.scale = config.scale ?? 0.5;
      this.seed = config.seed ?? 1;
    }

    build(inputShape) {
      const width = inputShape.at(-1);
      // With a seed from the configuration, a run can be repeated.
      const initializer = tf.initializers.glorotUniform({ seed: this.seed });
      this.kernel = this.addWeight('kernel', [width, width], 'float32', initializer);
      this.bias = this.addWeight('bias', [width], 'float32', tf.initializers.zeros());
      this.built = true;
    }

    computeOutputShape(inputShape) {
      return inputShape;
    }

    call(inputs) {
      return tf.tidy(() => {
        const x = Array.isArray(inputs) ? inputs[0] : inputs;
        const dense = tf.relu(tf.add(tf.matMul(x, this.kernel.read()), this.bias.read()));
        return tf.add(x, tf.mul(dense, this.scale));
      });
    }

    getConfig() {
      return { ...super.getConfig(), scale: this.scale, seed: this.seed };
    }
  }

  return {
    layers: [ScaledResidualDense],
    losses: {
      /** Squared error, four times as large where the output is too low. */
      asymmetricError: (tf, yTrue, yPred) => {
        const error = tf.sub(yTrue, yPred);
        // With relu, as comparisons have no gradient in TensorFlow.js.
        const tooLow = tf.relu(error);
        return tf.mean(tf.add(tf.square(error), tf.mul(3, tf.square(tooLow))), -1);
      },
    },
    metrics: {
      /** Share of outputs that are at most 0.5 off. */
      withinHalf: (tf, yTrue, yPred) =>
        tf.mean(tf.cast(tf.lessEqual(tf.abs(tf.sub(yTrue, yPred)), 0.5), 'float32'), -1),
    },
  };
};
