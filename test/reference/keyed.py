"""Random numbers of layers as PROTOCOL.md, section 8, defines them, in place of those of Keras 3.

A second implementation, in numpy, from the text alone: the reference figures of models with random layers hold for the numbers of
seed SEED, step STEP and the sample numbers 0, 1, 2, ...
"""

import contextlib
from statistics import NormalDist

import keras
import numpy as np
from keras.src import backend

SEED = 1
STEP = 0
RANDOM_LAYERS = (
    "AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D SpatialDropout3D "
    "RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom"
).split()
ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24]
U32 = np.uint32


def threefry(key, counter):
    """Threefry-2x32 with 20 rounds of one key and arrays of counters."""
    with np.errstate(over="ignore"):
        k = [U32(key[0]), U32(key[1]), U32(0x1BD11BDA) ^ U32(key[0]) ^ U32(key[1])]
        a, b = (np.asarray(c, U32) + k[i] for i, c in enumerate(counter))
        for r in range(20):
            turn = U32(ROTATIONS[r % 8])
            a = a + b
            b = ((b << turn) | (b >> (U32(32) - turn))) ^ a
            if r % 4 == 3:
                s = (r + 1) // 4
                a = a + k[s % 3]
                b = b + k[(s + 1) % 3] + U32(s)
        return a, b


def words(sample, layer, size):
    """The first words of a sample's numbers of a layer."""
    subkey = [int(w) for w in threefry((SEED, 2), (STEP, sample))]
    blocks = np.arange((size + 1) // 2)
    pairs = np.stack(threefry(subkey, (blocks, np.full_like(blocks, layer))), axis=1)
    return pairs.reshape(-1)[:size]


def rows(shape, layer, first, value_of):
    """Array of a shape whose first axis has the samples: value_of(words) from the element `first` on."""
    size = int(np.prod(shape[1:]))
    each = [value_of(words(sample, layer, first + size)[first:]) for sample in range(shape[0])]
    return np.stack(each).reshape(shape)


def uniform(w):
    return (w >> U32(8)) / 2.0**24


def normal(w):
    return np.array([NormalDist().inv_cdf((int(x) + 0.5) / 2**32) for x in w]).astype(np.float32)


def mask(shape, layer, rate):
    """Dropout mask: 0, or the factor of the elements that are kept."""
    threshold = min(255, int(256 * rate + 0.5))
    size = int(np.prod(shape[1:]))
    keep = lambda w: w.astype("<u4").view(np.uint8)[:size] >= threshold
    each = [keep(words(sample, layer, (size + 3) // 4)) for sample in range(shape[0])]
    return np.stack(each).reshape(shape) * (256 / (256 - threshold))


class Draws:
    """Draws of the layer that is computed now, from its numbers."""

    def __init__(self):
        self.layer = None
        self.first = 0
        # Sample of a number that has no samples.
        self.sample = 0
        self.bytes = False

    def uniform(self, shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        shape = [int(size) for size in shape]
        if shape == []:
            value = uniform(words(self.sample, self.layer, self.first + 1)[self.first :])[0]
            self.first += 1
            return backend.convert_to_tensor(value * (maxval - minval) + minval, dtype=dtype or "float32")
        # The masks of AlphaDropout are those of Dropout, from bytes.
        value_of = (lambda w: w.astype("<u4").view(np.uint8)[: int(np.prod(shape[1:]))] / 256) if self.bytes else uniform
        values = rows(shape, self.layer, self.first, value_of)
        self.first += int(np.prod(shape[1:]))
        return backend.convert_to_tensor(values * (maxval - minval) + minval, dtype=dtype or "float32")

    def normal(self, shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        values = rows([int(size) for size in shape], self.layer, 0, normal).astype(np.float64)
        return backend.convert_to_tensor(values * stddev + mean, dtype=dtype or "float32")

    def dropout(self, inputs, rate, noise_shape=None, seed=None):
        shape = [int(size) for size in inputs.shape]
        if noise_shape is not None:
            shape = [size if fixed is None else int(fixed) for size, fixed in zip(shape, noise_shape)]
        values = mask(shape, self.layer, rate)
        return inputs * backend.convert_to_tensor(values, dtype=inputs.dtype)


def draws_of(layer):
    """Layer numbers that a layer takes by itself."""
    if type(layer).__name__ in RANDOM_LAYERS:
        return 1
    if hasattr(layer, "get_recurrent_dropout_mask"):
        return 2 if layer.dropout > 0 or layer.recurrent_dropout > 0 else 0
    is_attention = isinstance(layer, (keras.layers.MultiHeadAttention, keras.layers.Attention))
    return 1 if is_attention and (layer.get_config()["dropout"] or 0) > 0 else 0


def parts_of(layer):
    """Layers and cells within a layer, in the order of the topology."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    # The cell of a ConvLSTM is no part of the topology, but stands for its layer.
    if isinstance(layer, keras.layers.RNN):
        return [layer.cell]
    if isinstance(layer, keras.layers.StackedRNNCells):
        return layer.cells
    return []


def numbered(layers, number=0):
    """Random layers with their numbers."""
    found = []
    for layer in layers:
        count = draws_of(layer)
        if count > 0:
            found.append((layer, number))
        number += count
        inner, number = numbered(parts_of(layer), number)
        found += inner
    return found, number


def key_cell(cell, number):
    """Makes a cell draw keyed masks, those of its gates one after the other."""

    def masks(step_input, rate, number):
        count = getattr(cell, "dropout_mask_count", None)
        shape = [int(length) for length in step_input.shape]
        values = mask((shape[0], (count or 1) * int(np.prod(shape[1:]))), number, rate)
        parts = np.split(values, count or 1, axis=1)
        each = [backend.convert_to_tensor(part.reshape(shape), dtype=step_input.dtype) for part in parts]
        return each[0] if count is None else each

    cell.get_dropout_mask = lambda x: masks(x, cell.dropout, number) if cell.dropout > 0 else None
    cell.get_recurrent_dropout_mask = lambda h: (
        masks(h, cell.recurrent_dropout, number + 1) if cell.recurrent_dropout > 0 else None
    )


def key_layer(layer, number, draws):
    """Makes a layer draw keyed numbers."""
    call = layer.call

    def keyed_call(*args, **kwargs):
        draws.layer, draws.first = number, 0
        # Keras crops a whole batch alike, so each sample is a batch of its own.
        if type(layer).__name__ == "RandomCrop":
            crops = []
            for draws.sample in range(args[0].shape[0]):
                draws.first = 0
                crops.append(call(args[0][draws.sample : draws.sample + 1], **kwargs))
            return keras.ops.concatenate(crops)
        draws.bytes = type(layer).__name__ == "AlphaDropout"
        return call(*args, **kwargs)

    layer.call = keyed_call


@contextlib.contextmanager
def keyed(model):
    """Makes the layers of a model draw keyed numbers."""
    draws = Draws()
    for layer, number in numbered(model.layers)[0]:
        if hasattr(layer, "get_recurrent_dropout_mask"):
            key_cell(layer, number)
        else:
            key_layer(layer, number, draws)
    stock = {name: getattr(backend.random, name) for name in ["uniform", "normal", "dropout"]}
    try:
        for name in stock:
            setattr(backend.random, name, getattr(draws, name))
        yield
    finally:
        for name, function in stock.items():
            setattr(backend.random, name, function)
