"""Computes twenty training steps of the MNIST CNN in Keras with Adam and a cosine schedule, as reference figures.

How to run it, with the packages of keras_steps.py:

    python test/reference/keras_adam_steps.py --mnist DIR > test/reference/keras-adam-steps.json

Model, initial weights and samples are those of keras_steps.py. Step s trains on batch s mod 16 of the first 2,048 training samples,
with Adam(CosineDecay(0, 28, alpha=0.1, warmup_target=0.001, warmup_steps=4)). The loss of a step is that before its update. Between
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
    }
    sys.stdout.write(
        "{\n" + ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in record.items()) + "\n}\n"
    )


if __name__ == "__main__":
    main()
