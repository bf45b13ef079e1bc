"""Computes a custom layer, loss and metric in Keras, as reference figures for those of examples/custom-layer/custom.js.

How to run it, with Keras 3 and TensorFlow:

    python test/reference/keras_custom.py > test/reference/keras-custom.json

Model: 3 inputs, dense 8 tanh, ScaledResidualDense (scale 0.25) of 8, dense 1. Weights are `filling` of hashed.py, with tensors in the order of
the layers. Input i of 7 x 3 and target i of 7 x 1 are 2 u - 1 for u = lowbias32(i + 501) / 2^32 and lowbias32(i + 901) / 2^32. Sample weights are not used.
Prints JSON: the sum over the samples of loss and metric, and the gradient of the sum of the losses as one vector.
"""

import json
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from hashed import filling, hashed

SAMPLES = 7


class ScaledResidualDense(keras.layers.Layer):
    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], shape[-1]))
        self.bias = self.add_weight(name="bias", shape=(shape[-1],))

    def call(self, x):
        return x + self.scale * keras.ops.relu(keras.ops.matmul(x, self.kernel) + self.bias)


class AsymmetricError(keras.losses.Loss):
    def call(self, y_true, y_pred):
        error = y_true - y_pred
        factor = keras.ops.where(error > 0, 4.0, 1.0)
        return keras.ops.mean(factor * keras.ops.square(error), axis=-1)


def within_half(y_true, y_pred):
    return keras.ops.mean(keras.ops.cast(keras.ops.abs(y_true - y_pred) <= 0.5, "float32"), axis=-1)


def uniform(size, start, shape):
    u = hashed(size, start).astype(np.float64) / 2.0**32
    return (2 * u - 1).astype(np.float32).reshape(shape)


model = keras.Sequential(
    [
        keras.Input((3,)),
        keras.layers.Dense(8, activation="tanh"),
        ScaledResidualDense(0.25),
        keras.layers.Dense(1),
    ]
)
model.set_weights([filling(t, w.name, tuple(w.shape)) for t, w in enumerate(model.weights)])
x = uniform(SAMPLES * 3, 501, (SAMPLES, 3))
y = uniform(SAMPLES, 901, (SAMPLES, 1))
with tf.GradientTape() as tape:
    outputs = model(x)
    loss = keras.ops.sum(AsymmetricError(reduction=None)(y, outputs))
gradient = tape.gradient(loss, model.trainable_weights)
metric = keras.metrics.MeanMetricWrapper(within_half)
metric.update_state(y, outputs)
print(
    json.dumps(
        {
            "lossSum": float(loss),
            "metricSum": float(metric.result()) * SAMPLES,
            "gradient": [float(v) for g in gradient for v in np.asarray(g).ravel()],
        }
    )
)
