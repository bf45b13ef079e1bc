"""Computes twenty training steps of the MNIST CNN in Keras with Adam and a cosine schedule, as reference figures.

How to run it, with the packages of keras_steps.py:

    python test/reference/keras_adam_steps.py --mnist DIR > test/reference/keras-adam-steps.json

Model, initial weights and samples are those of keras_steps.py. Step s trains on batch s mod 16 of the first 2,048 training samples,
with Adam(CosineDecay(0, 28, alpha=0.1, warmup_target=0.001, warmup_steps=4)). The loss of a step is that before its update.
`regularized` has ten steps of the same model with regularizers and constraints, by train_on_batch with SGD; its losses have the
penalties. Between
this run, one without oneDNN and one on a single thread the losses differ by at most 3e-7. With twice the learning rate, a step after
which other elements are the largest of their pool comes early: Adam makes steps of the same size from the smallest gradients.
"""

import argparse
import json
import platform
import sys

import keras_steps as steps
import keras
import numpy as np
import tensorflow as tf

STEPS = 20
SAMPLES = 2048


def build_regularized():
    """The model of keras_steps.py with a regularizer or constraint for most of its tensors."""
    layers, r, c = keras.layers, keras.regularizers, keras.constraints
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu", kernel_regularizer=r.L1L2(1e-4, 1e-3)),
            layers.Conv2D(
                32,
                3,
                activation="relu",
                kernel_constraint=c.MaxNorm(0.7, axis=[0, 1, 2]),
                bias_constraint=c.NonNeg(),
            ),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(
                128, activation="relu", kernel_regularizer=r.L2(1e-3), kernel_constraint=c.MinMaxNorm(0.5, 0.9, rate=0.5)
            ),
            layers.Dense(10, activation="softmax", bias_regularizer=r.L1(0.01), kernel_constraint=c.UnitNorm()),
        ]
    )


def run_regularized(images, labels):
    model = build_regularized()
    model.set_weights([steps.initial_weight(t, tuple(v.shape)) for t, v in enumerate(model.trainable_variables)])
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, "categorical_crossentropy", run_eagerly=True)
    losses = []
    for step in range(10):
        at = step * steps.BATCH
        model.reset_metrics()
        loss = model.train_on_batch(images[at : at + steps.BATCH], labels[at : at + steps.BATCH])
        losses.append(steps.single(loss))
    return {
        "topology": json.loads(model.to_json()),
        "optimizer": keras.saving.serialize_keras_object(optimizer),
        "losses": losses,
    }


def main():
    parser = argparse.ArgumentParser(description="Prints the losses of twenty training steps as JSON.")
    parser.add_argument("--mnist", required=True, metavar="DIR", help="folder with the four MNIST files")
    images, labels = steps.read_mnist(parser.parse_args().mnist, "train", SAMPLES)
    model = steps.build_model()
    variables = model.trainable_variables
    model.set_weights([steps.initial_weight(t, tuple(v.shape)) for t, v in enumerate(variables)])
    schedule = keras.optimizers.schedules.CosineDecay(0.0, 28, alpha=0.1, warmup_target=0.001, warmup_steps=4)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(variables)
    losses = []
    for step in range(STEPS):
        at = step * steps.BATCH % SAMPLES
        loss, _, gradients = steps.loss_and_gradients(
            model, images[at : at + steps.BATCH], labels[at : at + steps.BATCH]
        )
        losses.append(steps.single(loss))
        optimizer.apply(gradients, variables)
    record = {
        "madeBy": "test/reference/keras_adam_steps.py",
        "versions": {
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "samples": SAMPLES,
        "optimizer": keras.saving.serialize_keras_object(optimizer),
        "losses": losses,
        "regularized": run_regularized(images, labels),
    }
    sys.stdout.write(
        "{\n" + ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in record.items()) + "\n}\n"
    )


if __name__ == "__main__":
    main()
