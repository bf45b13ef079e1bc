"""Computes parameters of Keras' Adadelta for fixed gradients, as reference figures for another implementation.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install tensorflow-cpu==2.21 keras
    python test/reference/keras_adadelta.py > test/reference/keras-adadelta.json

Prints JSON to stdout, and a comparison with the rule below in float64 to stderr.

The rule, with a and d zero at first, for a parameter p and its gradient g:

    a = rho a + (1 - rho) g^2                     the squared-gradient average first,
    u = g sqrt(d + epsilon) / sqrt(a + epsilon)   from the NEW a and the OLD d,
    p = p - lr u                                  lr scales the step only:
    d = rho d + (1 - rho) u^2                     d gathers u, not lr u

Sources: Keras 1.2, keras/optimizers.py, class Adadelta ("use the new accumulator and the *old* delta_accumulator");
Keras 3, keras/src/optimizers/adadelta.py, Adadelta.update_step. Both take the accumulators in the order above, and both
leave the learning rate out of d. They differ only in form: Keras 3 carries the negated u, which the square forgets, and
updates d before p, which does not read it.

Rounding: Keras holds p, a and d as float32 and rounds after every operation. It takes 1 - rho in float64 and rounds
that to float32, which is not the float32 difference 1 - float32(rho). Done the same way, the rule
gives these parameters bit for bit; in float64 it stays within 1e-5 of them (the last column nearly cancels).

A gradient is written as a short decimal and means the nearest float32. Columns: always zero; tiny; large; negative;
zero after non-zero and again; all scales in turn. The tiny one starts at parameter 0, where its steps are not lost.
"""

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

INITIAL = [0.5, 0.0, -1.25, 0.1, 0.75, 0.0]
GRADIENTS = [
    [0, 1e-12, 1e4, -0.1, 0.1, 1e-12],
    [0, 1e-12, 1e4, -0.2, 0, 1e4],
    [0, -1e-12, -1e4, -0.05, 0, 0],
    [0, 1e-12, 1e4, -1e-3, -0.3, -0.1],
    [0, 2e-12, 5e3, -1, 0, 1e-3],
    [0, 0, 0, -1e-6, 0.02, -1e4],
    [0, 1e-12, 1e-4, -0.1, 0.02, 1e-12],
    [0, -3e-12, -1e4, -12.5, 0, 0.25],
]
SETTINGS = [
    {"learningRate": 1.0, "rho": 0.95, "epsilon": 1e-8},
    {"learningRate": 0.5, "rho": 0.9, "epsilon": 1e-6},
]


def singles(values):
    """The shortest decimals that read back as the same float32."""
    return [float(str(np.float32(x))) for x in values]


def run_keras(setting):
    variable = keras.Variable(np.array(INITIAL, np.float32), dtype="float32")
    optimizer = keras.optimizers.Adadelta(
        learning_rate=setting["learningRate"], rho=setting["rho"], epsilon=setting["epsilon"]
    )
    optimizer.build([variable])
    rows = []
    for gradient in GRADIENTS:
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
        rows.append(np.array(variable.numpy()))
    return rows


def run_rule(setting):
    lr, rho, epsilon = setting["learningRate"], setting["rho"], setting["epsilon"]
    p = np.array(INITIAL, np.float32).astype(np.float64)
    a, d = np.zeros_like(p), np.zeros_like(p)
    rows = []
    for gradient in GRADIENTS:
        g = np.array(gradient, np.float32).astype(np.float64)
        a = rho * a + (1 - rho) * g**2
        u = g * np.sqrt(d + epsilon) / np.sqrt(a + epsilon)
        p = p - lr * u
        d = rho * d + (1 - rho) * u**2
        rows.append(p)
    return rows


def main():
    results = []
    for setting in SETTINGS:
        rows, rule = np.array(run_keras(setting), np.float64), np.array(run_rule(setting))
        scale = np.where(rule == 0, 1, np.abs(rule))
        worst = float(np.max(np.abs(rows - rule) / scale))
        print(f"{setting}: largest relative difference from the rule in float64: {worst:.2g}", file=sys.stderr)
        if worst > 1e-5:
            sys.exit("Keras disagrees with the rule in this file's header; nothing was written.")
        results.append({**setting, "parameters": [singles(row) for row in rows]})

    def line(value):
        return json.dumps(value, separators=(", ", ": "))

    def block(rows, indent):
        return "[\n" + ",\n".join(indent + "  " + line(row) for row in rows) + "\n" + indent + "]"

    versions = {
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    out = '{\n  "madeBy": "test/reference/keras_adadelta.py",\n'
    out += f'  "versions": {line(versions)},\n'
    out += f'  "initial": {line(INITIAL)},\n'
    out += f'  "gradients": {block(GRADIENTS, "  ")},\n  "settings": [\n'
    texts = []
    for result in results:
        fields = [f'      "{k}": {line(v)}' for k, v in result.items() if k != "parameters"]
        fields.append(f'      "parameters": {block(result["parameters"], "      ")}')
        texts.append("    {\n" + ",\n".join(fields) + "\n    }")
    sys.stdout.write(out + ",\n".join(texts) + "\n  ]\n}\n")


if __name__ == "__main__":
    main()
