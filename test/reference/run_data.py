"""Data sets of keras_runs.py, and the order of their samples, as gradcast and test/support/run-data.ts make them."""

import numpy as np
from keras_steps import read_idx
from keyed import threefry

TEXT_HASH = "9e8ca8ed051c2697578c023d9c29d6df689a083561feba5c14aedee895853999"
CONTEXT = 64
TEST_SEQUENCES = 512


def epoch_order(seed, epoch, count):
    """Order of the samples in an epoch: the keyed Fisher-Yates shuffle of coordinator/training/sampler.ts."""
    subkey = [int(word) for word in threefry((seed, 1), (epoch, 0))]
    blocks = np.arange((count + 1) // 2)
    drawn = np.stack(threefry(subkey, (blocks, np.zeros_like(blocks))), axis=1).reshape(-1)
    order = list(range(count))
    for i, word in zip(range(count - 1, 0, -1), drawn.tolist()):
        j = int(word / 2**32 * (i + 1))
        order[i], order[j] = order[j], order[i]
    return np.array(order)


def split_of(inputs, targets):
    return {"inputs": inputs, "targets": targets, "count": len(inputs[0])}


def images(folder, prefix):
    """Bytes [count,28,28,1] and classes."""
    pixels = read_idx(folder, f"{prefix}-images-idx3-ubyte")[..., np.newaxis]
    return pixels, read_idx(folder, f"{prefix}-labels-idx1-ubyte").astype(np.int32)


def scaled(pixels):
    return pixels.astype(np.float32) / np.float32(255)


def digits(pixels, labels):
    return split_of([scaled(pixels)], [labels])


def raw_digits(pixels, labels):
    return split_of([pixels.astype(np.float32)], [labels])


def one_hot_digits(pixels, labels):
    return split_of([scaled(pixels)], [np.eye(10, dtype=np.float32)[labels]])


def digit_properties(pixels, labels):
    """Three labels of a digit: it is even, it is 5 or more, it is drawn with a loop."""
    bits = np.stack([labels % 2 == 0, labels >= 5, np.isin(labels, [0, 6, 8, 9])], axis=1)
    return split_of([scaled(pixels)], [bits.astype(np.float32)])


def digit_pairs(pixels, labels):
    """Each image with that half a data set later: the first one's class, and the sum of both."""
    others = np.roll(np.arange(len(labels)), -(len(labels) // 2))
    total = (labels + labels[others]).astype(np.float32)[:, np.newaxis]
    x = scaled(pixels)
    return split_of([x, x[others]], [labels, total])


IMAGE_DATA = {
    "mnist": digits,
    "fashion": digits,
    "raw-mnist": raw_digits,
    "one-hot-mnist": one_hot_digits,
    "digit-properties": digit_properties,
    "digit-pairs": digit_pairs,
}


def diabetes_rows():
    """Rows of scikit-learn's diabetes table: ten features as they are there, and the target in hundreds."""
    from sklearn.datasets import load_diabetes

    table = load_diabetes()
    rows = np.concatenate([table.data, table.target[:, np.newaxis] / 100], axis=1).astype(np.float32)
    return [[float(str(value)) for value in row] for row in rows]


def diabetes(samples):
    """The first samples train, the rest tests."""
    rows = np.array(diabetes_rows(), np.float32)
    part = lambda rows: split_of([rows[:, :10]], [rows[:, 10:]])
    return part(rows[:samples]), part(rows[samples:])


def characters(text, samples):
    """Sequences of CONTEXT bytes, numbered by their place in the sorted list of bytes in the text, their positions, and the bytes
    that follow. The last sequences test."""
    codes = np.searchsorted(np.unique(text), text).astype(np.int32)
    rows = np.arange((len(codes) - 1) // CONTEXT)[:, np.newaxis] * CONTEXT + np.arange(CONTEXT)
    positions = np.broadcast_to(np.arange(CONTEXT, dtype=np.int32), rows.shape)
    part = lambda at: split_of([codes[rows[at]], positions[at].copy()], [codes[rows[at] + 1]])
    return part(slice(0, samples)), part(slice(-TEST_SEQUENCES, None))
