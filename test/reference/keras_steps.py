"""Computes ten training steps of the MNIST CNN in Keras, as reference figures for another implementation.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install tensorflow-cpu==2.21 keras
    python test/reference/keras_steps.py --mnist DIR > test/reference/keras-steps.json

DIR holds the four MNIST files in IDX format, plain or as .gz. Prints JSON to stdout, and a check of the gradient by
finite differences to stderr.

Model: input 28x28x1, conv 3x3x32 ReLU valid, conv 3x3x32 ReLU valid, max-pool 2, flatten, dense 128 ReLU, dense 10
softmax; no dropout. Loss: mean categorical cross-entropy. Keras computes it from the logits behind the softmax, so no
probability is clipped.

Initial weights: tensors t = 0..7 in the order conv1 kernel [3,3,1,32], conv1 bias, conv2 kernel [3,3,32,32], conv2
bias, dense1 kernel [4608,128], dense1 bias, dense2 kernel [128,10], dense2 bias. Biases are zero. Element i of a
kernel, row-major, is

    float32((2 u - 1) * sqrt(6 / (fanIn + fanOut))),  u = lowbias32(t * 1000003 + i + 1) / 2^32

computed in float64, where lowbias32 is Chris Wellons' 32-bit hash and the fans are Glorot's: for a convolution the
receptive field times the channels, 9 + 288 and 288 + 288. Every operation is exact or correctly rounded, so another
language gets the same bits.

Step s trains on the training samples 128 s .. 128 s + 127 in file order, pixels / 255 as float32, with
Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-8). Loss and accuracy of a step are those before its update.

Figures: `l2` is taken in float64 over the float32 values, `first` are the first five elements, and `at` is the element
`index`, the one whose gradient at step 0 is largest in magnitude: the first rows of the dense1 kernel belong to the
image's corner, where almost nothing is drawn and the gradients are tiny.

The last digits depend on the order of the sums in a convolution, and training enlarges the difference. Between this
run, one in float64, one on a single thread and one without oneDNN: losses differ by at most 3e-6 of themselves,
accuracies not at all, `l2` of the gradients by 1e-6, of the final kernels by 4e-6, of the final biases by 2e-4; single
elements of a gradient by 1e-6 of the tensor's `l2`, of the final biases by 1e-3 of theirs.
"""

import argparse
import gzip
import json
import os
import platform
import struct
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from hashed import filling

STEPS = 10
BATCH = 128
TEST_SAMPLES = 1000
NAMES = [
    "conv1/kernel",
    "conv1/bias",
    "conv2/kernel",
    "conv2/bias",
    "dense1/kernel",
    "dense1/bias",
    "dense2/kernel",
    "dense2/bias",
]


def read_idx(folder, name):
    path = os.path.join(folder, name)
    opener = open
    if not os.path.exists(path):
        path, opener = path + ".gz", gzip.open
    with opener(path, "rb") as file:
        data = file.read()
    rank = data[3]
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_mnist(folder, prefix, count):
    """Images [count,28,28,1] as float32 in 0..1, one-hot labels [count,10] as float32."""
    pixels = read_idx(folder, f"{prefix}-images-idx3-ubyte")[:count]
    labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte")[:count]
    images = pixels.astype(np.float32)[..., np.newaxis] / np.float32(255)
    return images, np.eye(10, dtype=np.float32)[labels]


def initial_weight(t, shape):
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    return filling(t, NAMES[t], shape)


def build_model():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def accuracy(probabilities, labels):
    return float(np.mean(np.argmax(probabilities, 1) == np.argmax(labels, 1)))


def loss_and_gradients(model, images, labels):
    loss_fn = keras.losses.CategoricalCrossentropy()
    with tf.GradientTape() as tape:
        probabilities = model(images, training=True)
        loss = loss_fn(labels, probabilities)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    return float(loss), accuracy(probabilities.numpy(), labels), gradients


def evaluate(model, images, labels):
    probabilities = model(images, training=False)
    loss = keras.losses.CategoricalCrossentropy()(labels, probabilities)
    return {"loss": single(loss), "accuracy": accuracy(probabilities.numpy(), labels)}


def single(value):
    """Shortest decimal that reads back as the same float32."""
    return float(str(np.float32(value)))


def figures(array, index):
    flat = np.asarray(array).reshape(-1)
    l2 = float(np.sqrt(np.sum(np.square(flat.astype(np.float64)))))
    return {"l2": float(f"{l2:.9g}"), "first": [single(x) for x in flat[:5]], "at": single(flat[index])}


# An independent float64 forward pass in numpy, for the check by finite differences.


def conv_relu_f64(x, kernel, bias):
    rows, columns = x.shape[1] - 2, x.shape[2] - 2
    out = np.zeros((x.shape[0], rows, columns, kernel.shape[3])) + bias
    for dy in range(3):
        for dx in range(3):
            out += x[:, dy : dy + rows, dx : dx + columns, :] @ kernel[dy, dx]
    return np.maximum(out, 0)


def hidden_f64(weights, images):
    w = [x.astype(np.float64) for x in weights]
    x = conv_relu_f64(images.astype(np.float64), w[0], w[1])
    x = conv_relu_f64(x, w[2], w[3])
    n, rows, columns, channels = x.shape
    x = x.reshape(n, rows // 2, 2, columns // 2, 2, channels).max((2, 4)).reshape(n, -1)
    return np.maximum(x @ w[4] + w[5], 0)


def loss_f64(hidden, kernel, bias, labels):
    logits = hidden @ kernel + bias
    top = logits.max(1, keepdims=True)
    log_sum = top[:, 0] + np.log(np.exp(logits - top).sum(1))
    return float(np.mean(log_sum - (logits * labels).sum(1)))


def check_by_finite_differences(weights, images, labels, keras_loss, keras_gradient):
    # The layers before dense2 do not depend on its kernel, so their output is computed once.
    hidden = hidden_f64(weights, images)
    kernel, bias = weights[6].astype(np.float64), weights[7].astype(np.float64)
    exact = loss_f64(hidden, kernel, bias, labels)
    print(f"step 0 loss: keras {keras_loss:.9g}, numpy float64 {exact:.9g}", file=sys.stderr)
    h = 1e-5
    for at in [(0, 0), (64, 3), (127, 9)]:
        above, below = kernel.copy(), kernel.copy()
        above[at] += h
        below[at] -= h
        difference = (loss_f64(hidden, above, bias, labels) - loss_f64(hidden, below, bias, labels)) / (2 * h)
        found = float(keras_gradient[at])
        close = abs(found - difference) <= 1e-5 * abs(difference) + 1e-9
        print(
            f"dense2/kernel{list(at)} gradient: keras {found:.9g}, finite difference {difference:.9g}"
            f" -> {'agree' if close else 'DISAGREE'}",
            file=sys.stderr,
        )
        if not close:
            sys.exit("The gradient of the dense2 kernel disagrees with finite differences; nothing was written.")


def to_json(record):
    """JSON with one line per step and per tensor, which is short and readable in a diff."""

    def line(value):
        return json.dumps(value, separators=(", ", ": "))

    parts = []
    for key, value in record.items():
        if key == "steps":
            rows = ",\n".join("    " + line(step) for step in value)
            parts.append(f'  "steps": [\n{rows}\n  ]')
        elif key == "tensors":
            rows = []
            for tensor in value:
                fields = ",\n".join(f'      "{k}": {line(v)}' for k, v in tensor.items())
                rows.append("    {\n" + fields + "\n    }")
            parts.append('  "tensors": [\n' + ",\n".join(rows) + "\n  ]")
        else:
            parts.append(f'  "{key}": {line(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description="Prints reference figures of ten training steps as JSON.")
    parser.add_argument("--mnist", required=True, metavar="DIR", help="folder with the four MNIST files")
    folder = parser.parse_args().mnist

    images, labels = read_mnist(folder, "train", STEPS * BATCH)
    test_images, test_labels = read_mnist(folder, "t10k", TEST_SAMPLES)

    model = build_model()
    variables = model.trainable_variables
    initial = [initial_weight(t, tuple(v.shape)) for t, v in enumerate(variables)]
    model.set_weights(initial)
    optimizer = keras.optimizers.Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-8)
    optimizer.build(variables)

    test_before = evaluate(model, test_images, test_labels)
    steps, first_gradients = [], []
    for s in range(STEPS):
        batch = slice(s * BATCH, (s + 1) * BATCH)
        loss, hit_rate, gradients = loss_and_gradients(model, images[batch], labels[batch])
        if s == 0:
            first_gradients = [g.numpy() for g in gradients]
            check_by_finite_differences(initial, images[batch], labels[batch], loss, first_gradients[6])
        steps.append({"step": s, "loss": single(loss), "accuracy": hit_rate})
        optimizer.apply(gradients, variables)
    final = model.get_weights()

    tensors = []
    for t, name in enumerate(NAMES):
        index = int(np.argmax(np.abs(first_gradients[t])))
        tensors.append(
            {
                "name": name,
                "shape": list(initial[t].shape),
                "index": index,
                "initial": figures(initial[t], index),
                "gradientAtStep0": figures(first_gradients[t], index),
                "final": figures(final[t], index),
            }
        )

    record = {
        "madeBy": "test/reference/keras_steps.py",
        "versions": {
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "optimizer": {"name": "adadelta", "learningRate": 1.0, "rho": 0.95, "epsilon": 1e-8},
        "batchSize": BATCH,
        "testSamples": TEST_SAMPLES,
        "steps": steps,
        "testBefore": test_before,
        "testAfter": evaluate(model, test_images, test_labels),
        "tensors": tensors,
    }
    sys.stdout.write(to_json(record))


if __name__ == "__main__":
    main()
