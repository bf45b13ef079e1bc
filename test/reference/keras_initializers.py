"""Draws a kernel with each initializer of Keras 3, as the reference for distributions.

    python test/reference/keras_initializers.py > test/reference/keras-initializers.json          (keras 3.15.1)

A case has the serialized initializer, the kernel's shape, its standard deviation, and quantiles at the fractions of `fractions`. Of
an orthogonal kernel, the columns (or rows, if these are fewer) are orthonormal up to the factor `gain`.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np

FRACTIONS = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
SHAPE = (400, 300)

i = keras.initializers
CASES = [
    i.Zeros(),
    i.Ones(),
    i.Constant(0.3),
    # Keras does not store another gain.
    i.Identity(),
    i.RandomNormal(0.1, 0.2, seed=1),
    i.TruncatedNormal(0.1, 0.2, seed=1),
    i.RandomUniform(-0.1, 0.3, seed=1),
    i.GlorotNormal(seed=1),
    i.GlorotUniform(seed=1),
    i.HeNormal(seed=1),
    i.HeUniform(seed=1),
    i.LecunNormal(seed=1),
    i.LecunUniform(seed=1),
    i.VarianceScaling(2.0, "fan_out", "truncated_normal", seed=1),
    i.VarianceScaling(0.5, "fan_avg", "uniform", seed=1),
    i.Orthogonal(1.2, seed=1),
]


def record(initializer):
    orthogonal = isinstance(initializer, i.Orthogonal)
    shape = (48, 32) if orthogonal else SHAPE
    values = np.asarray(initializer(shape), np.float64)
    if orthogonal:
        np.testing.assert_allclose(values.T @ values, 1.2**2 * np.eye(32), atol=1e-5)
    return {
        "initializer": {"class_name": type(initializer).__name__, "config": initializer.get_config()},
        "shape": shape,
        "deviation": float(f"{values.std():.6g}"),
        "quantiles": [float(f"{q:.6g}") for q in np.quantile(values, FRACTIONS)],
    }


def main():
    head = {"madeBy": "test/reference/keras_initializers.py", "versions": {"keras": keras.__version__}, "fractions": FRACTIONS}
    cases = ",\n".join("  " + json.dumps(record(each)) for each in CASES)
    sys.stdout.write(json.dumps(head)[:-1] + f', "cases": [\n{cases}\n]}}\n')


if __name__ == "__main__":
    main()
