"""Runs Keras' callbacks over made histories, as reference figures for another implementation.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install tensorflow-cpu==2.21 keras==3.15.1 tensorboard
    python test/reference/keras_callbacks.py > test/reference/keras-callbacks.json

Prints JSON to stdout. A history has the scores of epochs by name. The model has one weight, which is the number of the epoch (from
1) when callbacks are called after it, so that weights tell the epoch that they were restored from or saved after.

 - earlyStopping: epochs that were trained, and the weight at the end
 - modelCheckpoint: epochs that were saved
 - reduceLROnPlateau, learningRateScheduler: the learning rate after each epoch, as the logs have it
 - csv: the file of CSVLogger
 - events: records (base64) of an event file of tf.summary with two scalars, two histograms and a model, without the first record
"""

import base64
import glob
import json
import os
import platform
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from hashed import hashed
from keras.src.callbacks.tensorboard import keras_model_summary

c = keras.callbacks
EPOCHS = 14


def walk(seed, start, drift, noise):
    """A score that drifts and jumps, with four decimals."""
    u = hashed(EPOCHS, seed).astype(np.float64) / 2.0**32
    return [round(start + drift * e + noise * (2 * u[e] - 1), 4) for e in range(EPOCHS)]


HISTORIES = {
    "falling": {"val_loss": walk(1, 1.0, -0.05, 0.01), "val_accuracy": walk(2, 0.5, 0.03, 0.01)},
    "noisy": {"val_loss": walk(3, 1.0, -0.01, 0.2), "val_accuracy": walk(4, 0.6, 0.01, 0.15)},
    "rising": {"val_loss": walk(5, 0.4, 0.03, 0.05), "val_accuracy": walk(6, 0.8, -0.02, 0.05)},
    "flat": {"val_loss": [0.5] * EPOCHS, "val_accuracy": [0.75] * EPOCHS},
    "valley": {
        "val_loss": [0.9, 0.7, 0.6, 0.55, 0.56, 0.58, 0.5, 0.52, 0.53, 0.51, 0.54, 0.49, 0.6, 0.7],
        "val_accuracy": [0.5, 0.6, 0.65, 0.7, 0.69, 0.68, 0.72, 0.71, 0.7, 0.72, 0.69, 0.73, 0.7, 0.6],
    },
}
EARLY_STOPPING = [
    {},
    {"patience": 2},
    {"patience": 3, "restore_best_weights": True},
    {"patience": 2, "min_delta": 0.05, "restore_best_weights": True},
    {"monitor": "val_accuracy", "patience": 2, "restore_best_weights": True},
    {"monitor": "val_accuracy", "patience": 3, "min_delta": -0.02},
    {"monitor": "val_accuracy", "mode": "min", "patience": 1, "restore_best_weights": True},
    {"patience": 3, "baseline": 0.58, "restore_best_weights": True},
    {"patience": 4, "baseline": 0.1, "restore_best_weights": True},
    {"patience": 1, "start_from_epoch": 4, "restore_best_weights": True},
    {"patience": 0, "start_from_epoch": 1},
    {"patience": 20, "restore_best_weights": True},
]
MODEL_CHECKPOINT = [
    {},
    {"save_best_only": True},
    {"save_best_only": True, "monitor": "val_accuracy"},
    {"save_best_only": True, "monitor": "val_accuracy", "mode": "min"},
    {"save_best_only": True, "initial_value_threshold": 0.56},
]
PLATEAU = [
    {"patience": 2},
    {"patience": 1, "factor": 0.5, "cooldown": 2},
    {"patience": 0, "factor": 0.2, "min_lr": 0.001, "monitor": "val_accuracy"},
    {"patience": 3, "min_delta": 0.05},
]


def compiled():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", metrics=["accuracy"])
    model.fit(np.zeros((1, 1)), np.zeros((1, 1)), verbose=0)
    return model


MODEL = compiled()


def play(callback, history, after_epoch=lambda epoch, logs: None):
    """Calls a callback as fit does. Returns the number of epochs."""
    MODEL.stop_training = False
    MODEL.optimizer.learning_rate = 0.1
    callback.set_params({})
    callback.set_model(MODEL)
    callback.on_train_begin({})
    epochs = 0
    for epoch in range(EPOCHS):
        callback.on_epoch_begin(epoch, {})
        MODEL.set_weights([np.array([[epoch + 1]], np.float32)])
        logs = {name: values[epoch] for name, values in history.items()}
        callback.on_epoch_end(epoch, logs)
        epochs += 1
        after_epoch(epoch, logs)
        if MODEL.stop_training:
            break
    callback.on_train_end({})
    return epochs


def early_stopping(options, history):
    epochs = play(c.EarlyStopping(**options), history)
    return {"epochs": epochs, "weight": int(MODEL.get_weights()[0][0, 0])}


def model_checkpoint(options, history):
    with tempfile.TemporaryDirectory() as folder:
        play(c.ModelCheckpoint(os.path.join(folder, "{epoch:02d}.keras"), **options), history)
        return [int(name[:2]) for name in sorted(os.listdir(folder))]


def rates(callback, history):
    values = []
    play(callback, history, lambda epoch, logs: values.append(logs["learning_rate"]))
    return values


def csv(history):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.csv")
        play(c.CSVLogger(path), history)
        with open(path, newline="") as file:
            return file.read()


def events():
    values = hashed(200, 9).astype(np.float32) / np.float32(2**32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")], name="model")
    with tempfile.TemporaryDirectory() as folder:
        writer = tf.summary.create_file_writer(folder)
        with writer.as_default():
            tf.summary.scalar("epoch_loss", 0.25, step=0)
            tf.summary.scalar("batch_loss", 1.5, step=300)
            tf.summary.histogram("dense/kernel/histogram", values, step=3)
            tf.summary.histogram("dense/bias/histogram", np.full(7, 0.5, np.float32), step=70000)
            keras_model_summary("keras", model, step=0)
        writer.close()
        (path,) = glob.glob(os.path.join(folder, "*"))
        with open(path, "rb") as file:
            data = file.read()
    first = 16 + int.from_bytes(data[:8], "little")
    return {"file": base64.b64encode(data[first:]).decode(), "model": model.to_json()}


def combine(run, options):
    return [
        {"options": o, "history": name, "result": run(o, history)} for o in options for name, history in HISTORIES.items()
    ]


reference = {
    "madeBy": "test/reference/keras_callbacks.py",
    "versions": {
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    },
    "histories": HISTORIES,
    "earlyStopping": combine(early_stopping, EARLY_STOPPING),
    "modelCheckpoint": combine(model_checkpoint, MODEL_CHECKPOINT),
    "reduceLROnPlateau": combine(lambda o, h: rates(c.ReduceLROnPlateau(**o), h), PLATEAU),
    "learningRateScheduler": rates(
        c.LearningRateScheduler(lambda epoch, rate: rate if epoch < 3 else rate * 0.5), HISTORIES["flat"]
    ),
    "csv": csv(HISTORIES["valley"]),
    "events": events(),
}
lines = ",\n".join(
    f" {json.dumps(key)}: "
    + ("[\n  " + ",\n  ".join(json.dumps(each) for each in value) + "\n ]" if isinstance(value, list) else json.dumps(value))
    for key, value in reference.items()
)
sys.stdout.write("{\n" + lines + "\n}\n")
