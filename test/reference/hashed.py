"""Weights and images that are computed from a hash, so that the reference files need not contain them.

Every operation is exact or correctly rounded, so another language gets the same bits (test/support/hashed-values.ts).
"""

import numpy as np


def lowbias32(x):
    """Chris Wellons' 32-bit hash."""
    x = x.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def hashed(size, start):
    return lowbias32((np.arange(size, dtype=np.uint64) + np.uint64(start)) & np.uint64(0xFFFFFFFF))


def filling(t, name, shape):
    """Tensor t of a model, t counting trainable_weights and then non_trainable_weights. Element i, row-major, is made from
    u = lowbias32(t * 1000003 + i + 1) / 2^32 in float64: 0.5 + u for gamma and moving_variance, else (2 u - 1) * limit_of(shape)."""
    u = hashed(int(np.prod(shape)), t * 1000003 + 1).astype(np.float64) / 2.0**32
    if name.split(":")[0].endswith(("gamma", "moving_variance")):
        values = 0.5 + u
    else:
        values = (2 * u - 1) * limit_of(shape)
    return values.astype(np.float32).reshape(shape)


def limit_of(shape):
    """Largest magnitude: 0.2 for vectors, sqrt(6 / (fanIn + fanOut)) for others."""
    if len(shape) < 2:
        return 0.2
    field = int(np.prod(shape[:-2]))
    return np.sqrt(6 / (field * shape[-2] + field * shape[-1]))


def pixels(shape):
    """Images as bytes: byte i is lowbias32(i + 77) mod 256."""
    return (hashed(int(np.prod(shape)), 77) % np.uint32(256)).astype(np.uint8).reshape(shape)


def fresh(seed, t, name, shape):
    """Weights to train from, of a seed: Glorot's uniform ones for matrices, from u of element (seed * 1000 + t) * 1000003 + i + 1, 1 for
    gamma and moving_variance, 0 for other vectors."""
    if name.split(":")[0].endswith(("gamma", "moving_variance")):
        return np.ones(shape, np.float32)
    if len(shape) < 2 or name.split(":")[0].endswith(("bias", "beta")):
        return np.zeros(shape, np.float32)
    u = hashed(int(np.prod(shape)), (seed * 1000 + t) * 1000003 + 1).astype(np.float64) / 2.0**32
    return ((2 * u - 1) * limit_of(shape)).astype(np.float32).reshape(shape)
