"""Computes ten steps of each of Keras' optimizers and options, as reference figures for another implementation.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install tensorflow-cpu==2.21 keras==3.15.1
    python test/reference/keras_optimizers.py > test/reference/keras-optimizers.json

Prints JSON to stdout. Tensors t = 0..3 of most cases: a kernel, a bias, a convolution kernel and a scalar. Initial values are those of `filling`
in hashed.py (names end with kernel or bias; the scalar is element 0 of a vector of one). The gradient of element i of tensor t in
step s is

    float32((2 u - 1) * 10^e),  u = lowbias32(s * 7919 + t * 1000003 + i + 1) / 2^32,  e = lowbias32(i + 17 * t + 5) mod 17 - 12

in float64, with the powers of ten as literals, so that a tensor has gradients from 1e-12 to 1e4.

Values are float32 as base64 of their bytes, little-endian, all tensors of a step one after the other. A case has the optimizer's
serialized configuration, the penalties and constraints of tensors, the parts of names without weight decay, and the weights after each step; with a moving average, also the
weights that Keras ends a training with. A schedule has the learning rate of each of the listed steps, a plateau that after each of its
epochs' scores.
"""

import base64
import json
import os
import platform
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from hashed import filling, hashed

STEPS = 10
TENSORS = [("dense/kernel", (7, 5)), ("dense/bias", (5,)), ("conv/kernel", (3, 3, 2, 3)), ("scale/gamma", ())]
# Matrices of other proportions, for Muon.
MATRICES = [("wide/kernel", (3, 9)), ("square/kernel", (8, 8)), ("tall/kernel", (17, 5)), ("embedding/embeddings", (6, 4))]
POWERS = [1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4]

o = keras.optimizers
s = keras.optimizers.schedules


def gradient(step, t, shape):
    size = int(np.prod(shape))
    u = hashed(size, step * 7919 + t * 1000003 + 1).astype(np.float64) / 2.0**32
    scale = np.array([POWERS[int(e)] for e in hashed(size, 17 * t + 5) % np.uint32(17)])
    return ((2 * u - 1) * scale).astype(np.float32).reshape(shape)


def initial(t, name, shape):
    return filling(t, name, shape if len(shape) > 0 else (1,)).reshape(shape)


CASES = {
    "sgd": lambda: o.SGD(),
    "sgd momentum": lambda: o.SGD(0.02, momentum=0.9),
    "sgd nesterov": lambda: o.SGD(0.02, momentum=0.8, nesterov=True),
    "sgd decay": lambda: o.SGD(0.1, weight_decay=0.01),
    "sgd decay, without bias and gamma": lambda: o.SGD(0.1, weight_decay=0.01),
    "sgd clipnorm": lambda: o.SGD(0.1, momentum=0.9, clipnorm=0.5),
    "sgd global_clipnorm": lambda: o.SGD(0.1, momentum=0.9, global_clipnorm=2.0),
    "sgd clipvalue": lambda: o.SGD(0.1, momentum=0.9, clipvalue=0.3),
    "sgd ema": lambda: o.SGD(0.01, use_ema=True, ema_momentum=0.9, clipvalue=1.0),
    "sgd ema overwrite": lambda: o.SGD(
        0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3, clipvalue=1.0
    ),
    "sgd accumulation": lambda: o.SGD(0.01, momentum=0.9, gradient_accumulation_steps=3),
    "adam": lambda: o.Adam(),
    "adam amsgrad": lambda: o.Adam(0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-5, amsgrad=True),
    "adam accumulation, ema, clip and decay": lambda: o.Adam(
        0.01,
        gradient_accumulation_steps=2,
        use_ema=True,
        ema_overwrite_frequency=4,
        clipnorm=1.0,
        weight_decay=0.02,
    ),
    "adam cosine": lambda: o.Adam(s.CosineDecay(0.01, 8, alpha=0.1)),
    "adamw": lambda: o.AdamW(),
    "adamw decay, without bias and gamma": lambda: o.AdamW(0.01, weight_decay=0.1),
    "adadelta": lambda: o.Adadelta(1.0, rho=0.95, epsilon=1e-8),
    "adadelta defaults": lambda: o.Adadelta(),
    "rmsprop": lambda: o.RMSprop(),
    "rmsprop momentum": lambda: o.RMSprop(0.01, momentum=0.9),
    "rmsprop centered": lambda: o.RMSprop(0.01, rho=0.8, centered=True),
    "rmsprop centered momentum": lambda: o.RMSprop(0.01, momentum=0.7, centered=True, epsilon=1e-6),
    "adagrad": lambda: o.Adagrad(0.1),
    "nadam": lambda: o.Nadam(),
    "adamax": lambda: o.Adamax(0.01),
    "lion": lambda: o.Lion(),
    "lamb": lambda: o.Lamb(),
    "lamb decay": lambda: o.Lamb(0.01, weight_decay=0.05),
    "muon": lambda: o.Muon(),
    "muon without nesterov": lambda: o.Muon(
        0.02, nesterov=False, momentum=0.9, rms_rate=None, adam_lr_ratio=0.5, weight_decay=0.01
    ),
    "muon, matrices": lambda: o.Muon(0.01),
    "lamb, matrices": lambda: o.Lamb(0.01),
    "sgd penalties": lambda: o.SGD(0.1, momentum=0.5),
    "sgd constraints": lambda: o.SGD(0.1, clipvalue=1.0),
    "sgd matrices with orthogonal penalties": lambda: o.SGD(0.1, clipvalue=1.0),
    "adam unit norm and penalty": lambda: o.Adam(0.05),
    "muon, no matrix": lambda: o.Muon(exclude_layers=["dense"]),
}

SCHEDULES = {
    "cosine": s.CosineDecay(0.1, 1000),
    "cosine alpha": s.CosineDecay(0.1, 777, alpha=0.05),
    "cosine warm-up": s.CosineDecay(0.001, 1000, alpha=0.01, warmup_target=0.1, warmup_steps=100),
    "restarts": s.CosineDecayRestarts(0.1, 100),
    "restarts factors": s.CosineDecayRestarts(0.1, 50, t_mul=1.5, m_mul=0.9, alpha=0.02),
    "restarts equal": s.CosineDecayRestarts(0.1, 60, t_mul=1.0, m_mul=0.8),
    "exponential": s.ExponentialDecay(0.1, 100, 0.96),
    "exponential staircase": s.ExponentialDecay(0.1, 100, 0.5, staircase=True),
    "piecewise": s.PiecewiseConstantDecay([100, 500, 900], [0.1, 0.05, 0.01, 0.003]),
    "polynomial": s.PolynomialDecay(0.1, 1000),
    "polynomial power": s.PolynomialDecay(0.1, 300, end_learning_rate=0.003, power=2.5),
    "polynomial cycle": s.PolynomialDecay(0.1, 300, power=0.5, cycle=True),
    "inverse time": s.InverseTimeDecay(0.1, 100, 0.5),
    "inverse time staircase": s.InverseTimeDecay(0.1, 70, 0.3, staircase=True),
}
SCHEDULE_STEPS = [0, 1, 2, 3, 7, 49, 50, 51, 59, 60, 99, 100, 101, 123, 125, 299, 300, 301, 500, 501, 600, 699, 700, 701]
SCHEDULE_STEPS += [777, 900, 901, 999, 1000, 1001, 1099, 1100, 1101, 1500, 123456]


# Penalties and constraints of tensors, as the implementation's own settings, with those of Keras.
c = keras.constraints
r = keras.regularizers
RULES = {
    "sgd penalties": [
        (0, {"penalty": {"l1": 0, "l2": 0.05}}, r.L2(0.05), None),
        (1, {"penalty": {"l1": 0.02, "l2": 0}}, r.L1(0.02), None),
        (2, {"penalty": {"l1": 0.01, "l2": 0.03}}, r.L1L2(0.01, 0.03), None),
    ],
    "sgd constraints": [
        (0, {"constraint": {"name": "maxNorm", "maxValue": 0.9, "axes": [0]}}, None, c.MaxNorm(0.9)),
        (1, {"constraint": {"name": "nonNegative"}}, None, c.NonNeg()),
        (
            2,
            {"constraint": {"name": "minMaxNorm", "minValue": 0.8, "maxValue": 1.5, "rate": 0.7, "axes": [0, 1, 2]}},
            None,
            c.MinMaxNorm(0.8, 1.5, rate=0.7, axis=[0, 1, 2]),
        ),
    ],
    "sgd matrices with orthogonal penalties": [
        (0, {"orthogonal": {"factor": 0.5, "mode": "rows"}}, r.OrthogonalRegularizer(0.5), None),
        (1, {"orthogonal": {"factor": 0.7, "mode": "columns"}}, r.OrthogonalRegularizer(0.7, "columns"), None),
        (2, {"orthogonal": {"factor": 0.3, "mode": "columns"}}, r.OrthogonalRegularizer(0.3, "columns"), None),
        (3, {"orthogonal": {"factor": 0.2, "mode": "rows"}}, r.OrthogonalRegularizer(0.2), None),
    ],
    "adam unit norm and penalty": [
        (0, {"penalty": {"l1": 0, "l2": 0.5}, "constraint": {"name": "unitNorm", "axes": [1]}}, r.L2(0.5), c.UnitNorm(1)),
    ],
}


def encoded(arrays):
    flat = np.concatenate([np.asarray(a, np.float32).reshape(-1) for a in arrays])
    return base64.b64encode(flat.astype("<f4").tobytes()).decode()


def run(name, optimizer):
    tensors = MATRICES if "matrices" in name else TENSORS
    excluded = ["bias", "gamma"] if "without bias" in name else []
    # A variable's path has the name of its layer, which Muon and the exclusions look at.
    variables = []
    for t, (path, shape) in enumerate(tensors):
        layer, own = path.split("/")
        with keras.name_scope(layer):
            variables.append(keras.Variable(initial(t, path, shape), name=own))
    assert [v.path for v in variables] == [path for path, _ in tensors]
    if excluded:
        optimizer.exclude_from_weight_decay(var_names=excluded)
    rules = RULES.get(name, [])
    for t, _, _, constraint in rules:
        variables[t].constraint = constraint
    optimizer.build(variables)
    weights, penalties = [], []
    for step in range(STEPS):
        with tf.GradientTape() as tape:
            # A loss whose gradient is the given one.
            loss = sum(
                tf.reduce_sum(v.value * gradient(step, t, shape))
                for t, (v, (_, shape)) in enumerate(zip(variables, tensors))
            )
            penalty = sum([regularizer(variables[t].value) for t, _, regularizer, _ in rules if regularizer])
            loss += penalty
        penalties.append(float(penalty))
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        weights.append(encoded(v.numpy() for v in variables))
    record = {"name": name, "tensors": [{"name": path, "shape": list(shape)} for path, shape in tensors]}
    record["optimizer"] = keras.saving.serialize_keras_object(optimizer)
    # get_config of Muon leaves this one out.
    if "Muon" in type(optimizer).__name__:
        record["optimizer"]["config"].setdefault("ns_steps", optimizer.ns_steps)
    record["noDecay"] = excluded
    if rules:
        record["tensorRules"] = [{"tensor": t, **rule} for t, rule, _, _ in rules]
        record["penalties"] = penalties
    record["weights"] = weights
    if optimizer.use_ema:
        optimizer.finalize_variable_values(variables)
        record["final"] = encoded(v.numpy() for v in variables)
    return record


PLATEAUS = [
    {"factor": 0.5, "patience": 2},
    {"factor": 0.3, "patience": 1, "min_delta": 0.05, "cooldown": 2, "min_lr": 0.01},
    {"monitor": "val_accuracy", "mode": "max", "factor": 0.7, "patience": 3, "min_delta": 0.0, "cooldown": 1},
]


def plateau(config):
    class Model:
        optimizer = o.SGD(0.1)

    callback = keras.callbacks.ReduceLROnPlateau(**config)
    callback.set_model(Model())
    callback.on_train_begin()
    u = hashed(40, 99).astype(np.float64) / 2.0**32
    scores = [float(round(value + 1 / (1 + i), 4)) for i, value in enumerate(u)]
    rates = []
    for epoch, score in enumerate(scores):
        callback.on_epoch_end(epoch, {callback.monitor: score})
        rates.append(callback.model.optimizer.learning_rate.numpy())
    return {"config": config, "scores": scores, "rates": encoded(rates)}


def main():
    record = {
        "madeBy": "test/reference/keras_optimizers.py",
        "versions": {
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "scheduleSteps": SCHEDULE_STEPS,
    }

    def line(value):
        return json.dumps(value, separators=(", ", ": "))

    out = "{\n" + "".join(f'  "{key}": {line(value)},\n' for key, value in record.items())
    cases = [run(name, create()) for name, create in CASES.items()]
    out += '  "cases": [\n' + ",\n".join("    " + line(case) for case in cases) + "\n  ],\n"
    rates = [
        {
            "name": name,
            "schedule": keras.saving.serialize_keras_object(schedule),
            "rates": encoded([schedule(tf.constant(step, tf.int64)) for step in SCHEDULE_STEPS]),
        }
        for name, schedule in SCHEDULES.items()
    ]
    out += '  "schedules": [\n' + ",\n".join("    " + line(rate) for rate in rates) + "\n  ],\n"
    plateaus = [plateau(config) for config in PLATEAUS]
    out += '  "plateaus": [\n' + ",\n".join("    " + line(each) for each in plateaus) + "\n  ]\n}\n"
    sys.stdout.write(out)


if __name__ == "__main__":
    main()
