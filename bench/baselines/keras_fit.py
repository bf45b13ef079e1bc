"""Runs Keras' own fit on TensorFlow with the CNN of its MNIST example, dropout and Adadelta included. A step is measured from
the end of one batch to the end of the next, so that it includes all work of fit. Arguments: batch"""

import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

from lines import serve

batch = int(sys.argv[1])
layers = keras.layers
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    loss="categorical_crossentropy",
    optimizer=keras.optimizers.Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-8),
    metrics=["accuracy"],
)
random = np.random.default_rng(1)
images = random.random((64 * batch, 28, 28, 1), np.float32)
labels = np.eye(10, dtype=np.float32)[random.integers(0, 10, 64 * batch)]


class Ends(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.at = []

    def on_train_batch_end(self, step, logs=None):
        self.at.append(time.perf_counter())


def run(count):
    times = []
    while len(times) < count:
        # One more batch than is counted: the first also includes the start of fit.
        samples = min(count - len(times) + 1, 64) * batch
        ends = Ends()
        model.fit(images[:samples], labels[:samples], batch_size=batch, epochs=1, verbose=0, callbacks=[ends])
        times += [(b - a) * 1000 for a, b in zip(ends.at, ends.at[1:])]
    return times


run(10)
serve({"keras": keras.__version__, "tensorflow": tf.__version__}, run)
