"""Writes small compiled models with Keras 3 and Keras 2, and the losses and metrics of twenty steps with them.

How to run it, with the environment of keras_files.py:

    python test/reference/keras_compiled.py

It writes the files to test/reference/keras-files/ (compiled-FORM-VERSION.ENDING.gz) and the figures to
test/reference/keras-compiled.json.

The data: SAMPLES rows of 4 values, pixels() in hashed.py divided by 255 as float32. The class of row i is i mod 3, one-hot; the value
of the second output is the mean of the row. Each step takes the next BATCH rows, from the first again after the last. A file
is saved before its first step, except that of the form `trained`, which is saved after TRAINED steps. `losses` are the losses of
each batch before its update, `metrics` the values of the metrics of the first batch, by the name of output and metric in Keras 3.
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
import tf_keras as keras2
from hashed import pixels

SAMPLES = 32
BATCH = 8
STEPS = 20
TRAINED = 7
FOLDER = pathlib.Path(__file__).parent


def data():
    rows = pixels((SAMPLES, 4)).astype(np.float32) / np.float32(255)
    return rows, np.eye(3, dtype=np.float32)[np.arange(SAMPLES) % 3], rows.mean(axis=1, keepdims=True)


def one(keras):
    layers = keras.layers
    return keras.Sequential(
        [layers.Input((4,)), layers.Dense(5, activation="tanh", name="hidden"), layers.Dense(3, activation="softmax", name="a")]
    )


def two(keras):
    layers = keras.layers
    inputs = layers.Input((4,))
    hidden = layers.Dense(5, activation="tanh", name="hidden")(inputs)
    return keras.Model(inputs, [layers.Dense(3, activation="softmax", name="a")(hidden), layers.Dense(1, name="b")(hidden)])


def own_loss(target, output):
    return (target - output) ** 4


def forms(keras):
    """Model and settings of compile() by form."""
    losses, metrics, optimizers = keras.losses, keras.metrics, keras.optimizers
    cosine = optimizers.schedules.CosineDecay(0.03, 15, alpha=0.1)
    return {
        "names": (one, dict(optimizer="adam", loss="mse", metrics=["mae", "accuracy"])),
        "objects": (
            one,
            dict(
                optimizer=optimizers.Adam(cosine, beta_1=0.8, clipnorm=0.5),
                loss=losses.CategoricalCrossentropy(label_smoothing=0.1),
                metrics=[
                    metrics.CategoricalAccuracy(),
                    metrics.AUC(num_thresholds=50, name="area"),
                    metrics.Precision(thresholds=0.3),
                    metrics.TopKCategoricalAccuracy(k=2),
                    metrics.KLDivergence(),
                ],
                weighted_metrics=["accuracy"],
            ),
        ),
        "functions": (
            one,
            dict(
                optimizer=optimizers.SGD(0.1, momentum=0.9, nesterov=True),
                loss=losses.categorical_crossentropy,
                metrics=[metrics.categorical_accuracy, metrics.MeanMetricWrapper(metrics.mean_squared_error, name="square")],
            ),
        ),
        "dict": (
            two,
            dict(
                optimizer=optimizers.RMSprop(0.01, momentum=0.5, centered=True),
                loss={"b": losses.Huber(), "a": "categorical_crossentropy"},
                loss_weights={"a": 1.0, "b": 0.5},
                metrics={"a": ["accuracy"], "b": ["mae", metrics.RootMeanSquaredError()]},
            ),
        ),
        "lists": (
            two,
            dict(
                optimizer=optimizers.AdamW(optimizers.schedules.ExponentialDecay(0.02, 5, 0.5, staircase=True), weight_decay=0.01),
                loss=["categorical_crossentropy", "mse"],
                loss_weights=[0.7, 2.0],
                metrics=[["accuracy"], ["mae"]],
            ),
        ),
        "own": (one, dict(optimizer=optimizers.SGD(0.1), loss=own_loss, metrics=[own_loss, "accuracy"])),
        "trained": (
            one,
            dict(optimizer=optimizers.Adam(cosine), loss="categorical_crossentropy", metrics=["accuracy"]),
        ),
    }


def write(model, name, work):
    for ending in ("keras", "h5"):
        file = f"compiled-{name}.{ending}"
        model.save(work / file)
        # Without a time, so that the same contents are the same bytes.
        with gzip.GzipFile(FOLDER / "keras-files" / f"{file}.gz", "wb", mtime=0) as packed:
            packed.write((work / file).read_bytes())


def steps(model, outputs, first):
    rows, classes, values = data()
    losses, figures = [], None
    for step in range(first, first + STEPS):
        part = slice(step * BATCH % SAMPLES, step * BATCH % SAMPLES + BATCH)
        model.reset_metrics()
        targets = classes[part] if outputs == 1 else [classes[part], values[part]]
        result = {name: float(value) for name, value in model.train_on_batch(rows[part], targets, return_dict=True).items()}
        losses.append(result.pop("loss"))
        figures = figures or result
    return {"losses": losses, "metrics": figures}


def main():
    work = pathlib.Path(tempfile.mkdtemp())
    figures = {}
    for keras, version in ((keras3, 3), (keras2, 2)):
        for form in forms(keras):
            keras.utils.set_random_seed(7)
            build, settings = forms(keras)[form]
            model = build(keras)
            model.compile(**settings)
            outputs = 2 if build is two else 1
            if form == "trained":
                steps_before = TRAINED
                rows, classes, _ = data()
                for step in range(TRAINED):
                    part = slice(step * BATCH % SAMPLES, step * BATCH % SAMPLES + BATCH)
                    model.train_on_batch(rows[part], classes[part])
            else:
                steps_before = 0
            write(model, f"{form}-{version}", work)
            figures[f"{form}-{version}"] = {"first": steps_before, **steps(model, outputs, steps_before)}
    shutil.rmtree(work)
    result = {"samples": SAMPLES, "batch": BATCH, "models": figures}
    (FOLDER / "keras-compiled.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
