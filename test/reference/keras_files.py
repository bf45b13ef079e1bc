"""Writes small model files with Keras 3 and Keras 2, and the losses that Keras computes with them.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install tensorflow-cpu==2.21 tf_keras==2.21 keras==3.15.1
    python test/reference/keras_files.py

It writes the files and `losses.json` to test/reference/keras-files/. The models are trained for two steps before they are saved, so
that their running statistics are not those of new layers and the files contain the variables of an optimizer.

The batch: SAMPLES images of pixels() in hashed.py, divided by 255 as float32; labels count up. `training` is the mean of
the categorical cross-entropy with training=True, `inference` with training=False. Batch normalization is not fused, as in
keras_models.py.
"""

import gzip
import json
import os
import pathlib
import shutil
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras as keras2
from hashed import pixels

SHAPE = (6, 5, 2)
SAMPLES = 4
CLASSES = 3
FOLDER = pathlib.Path(__file__).parent / "keras-files"


def batch():
    images = pixels((SAMPLES, *SHAPE)).astype(np.float32) / np.float32(255)
    return images, np.eye(CLASSES, dtype=np.float32)[np.arange(SAMPLES) % CLASSES]


def sequential(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(3, 3, padding="same"),
            layers.BatchNormalization(momentum=0.5),
            layers.PReLU(shared_axes=[1, 2]),
            layers.SeparableConv2D(4, 2, activation="relu"),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.Flatten(),
            layers.Dense(3, use_bias=False),
            layers.Dense(4, activation="relu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def nested(keras, prefix=""):
    """A functional model with models in it, whose layers have names of others, frozen layers and a layer that is called twice."""
    layers = keras.layers
    inputs = layers.Input(SHAPE)
    image = layers.Input(SHAPE)
    x = layers.Conv2D(2, 2, name=f"{prefix}dense")(image)
    x = layers.BatchNormalization(momentum=0.5, name=f"{prefix}norm")(x)
    x = layers.Conv2D(2, 2, name="frozen", trainable=False)(x)
    x = layers.BatchNormalization(momentum=0.5, name="frozen_norm", trainable=False)(x)
    body = keras.Model(image, layers.Flatten()(x), name="body")
    head = keras.Sequential(
        [layers.Input((6,)), layers.Dense(6, name=f"{prefix}head"), layers.LayerNormalization(), layers.Dense(5, name="out")], name="head"
    )
    shared = layers.Dense(6, activation="tanh", name="norm")
    x = layers.Dense(6, name="dense")(body(inputs))
    x = head(shared(shared(x)))
    outputs = layers.Dense(CLASSES, activation="softmax", name="last")(x)
    return keras.Model(inputs, outputs)


def unique(keras):
    """The model of nested() with other names: Keras 3 cannot write an .h5 file of layers that share names."""
    return nested(keras, "inner_")


def recurrent(keras):
    layers = keras.layers
    inputs = layers.Input(SHAPE)
    x = layers.Reshape((5, 12))(inputs)
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(x)
    x = layers.TimeDistributed(layers.Dense(3, name="inner"))(x)
    x = layers.GRU(3, return_sequences=True)(x)
    x = layers.RNN(layers.StackedRNNCells([layers.LSTMCell(2), layers.LSTMCell(3)]), return_sequences=True)(x)
    x = layers.Bidirectional(layers.GRU(2, reset_after=False), merge_mode="sum")(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))


def embedding(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Reshape((60,)),
            layers.Embedding(2, 3),
            layers.SimpleRNN(3),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def unfuse(model):
    for layer in model.layers:
        if hasattr(layer, "fused"):
            layer.fused = False
        if hasattr(layer, "layers"):
            unfuse(layer)


def trained(keras, build, optimizer):
    keras.utils.set_random_seed(7)
    keras.backend.clear_session()
    model = build(keras)
    if keras is keras2:
        unfuse(model)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    images, labels = batch()
    model.fit(images, labels, batch_size=SAMPLES, epochs=2, verbose=0)
    return model, images, labels


def losses(keras, model, images, labels):
    def mean(training):
        loss = keras.losses.categorical_crossentropy(labels, model(images, training=training))
        return float(tf.reduce_mean(loss))

    # Inference first: training changes the running statistics.
    inference = mean(False)
    return {"training": mean(True), "inference": inference}


def main():
    figures = {}
    FOLDER.mkdir(exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp())
    for keras, version in ((keras3, 3), (keras2, 2)):
        for build in (sequential, nested, unique, recurrent, embedding):
            optimizer = "adam" if build is sequential else keras.optimizers.SGD(0.1, momentum=0.9 if build is nested else 0.0)
            model, images, labels = trained(keras, build, optimizer)
            # Keras 3 loses the optimizer of the configuration when it writes an .h5 file.
            endings = {nested: ["keras"], unique: ["h5"]}.get(build, ["keras", "h5"])
            names = [f"{build.__name__}-{version}.{ending}" for ending in endings]
            for name in names:
                model.save(work / name)
            if build is nested:
                name = f"nested-{version}.json"
                (work / name).write_text(model.to_json())
                weights = [f"nested-{version}.weights.h5"]
                if version == 2:
                    weights.append("nested-2.old-weights.h5")
                for file in weights:
                    model.save_weights(work / file)
                names += [name, *weights]
            figures[f"{build.__name__}-{version}"] = {"files": names, **losses(keras, model, images, labels)}
            for name in names:
                # Without a time, so that the same contents are the same bytes.
                with gzip.GzipFile(FOLDER / f"{name}.gz", "wb", mtime=0) as packed:
                    packed.write((work / name).read_bytes())
    shutil.rmtree(work)
    result = {"sampleShape": SHAPE, "samples": SAMPLES, "classes": CLASSES, "models": figures}
    (FOLDER / "losses.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
