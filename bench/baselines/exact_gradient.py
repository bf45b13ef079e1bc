"""Computes the gradient of the default CNN with TensorFlow's own ops in float32 and float64, for the steps of a folder. step-N
holds consecutive float32 values: the weights in gradcast's order, the images, the one-hot labels, and the masks of both
dropout layers. Writes gradient-N-float32 and gradient-N-float64. Arguments: folder steps batch"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf

folder, steps, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
WEIGHTS = [(3, 3, 1, 32), (32,), (3, 3, 32, 32), (32,), (4608, 128), (128,), (128, 10), (10,)]
INPUTS = [(batch, 28, 28, 1), (batch, 10), (batch, 4608), (batch, 128)]


def gradient(tensors, dtype):
    *weights, images, target, mask1, mask2 = [tf.constant(values.astype(dtype)) for values in tensors]
    k1, b1, k2, b2, k3, b3, k4, b4 = weights
    with tf.GradientTape() as tape:
        tape.watch(weights)
        x = tf.nn.relu(tf.nn.conv2d(images, k1, 1, "VALID") + b1)
        x = tf.nn.relu(tf.nn.conv2d(x, k2, 1, "VALID") + b2)
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        x = tf.reshape(x, (batch, -1)) * mask1
        x = tf.nn.relu(x @ k3 + b3) * mask2
        loss = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(target, x @ k4 + b4))
    return np.concatenate([part.numpy().ravel() for part in tape.gradient(loss, weights)])


for step in range(steps):
    values = np.fromfile(f"{folder}/step-{step}", np.float32)
    tensors = []
    for shape in WEIGHTS + INPUTS:
        size = int(np.prod(shape))
        tensors.append(values[:size].reshape(shape))
        values = values[size:]
    for dtype in ("float32", "float64"):
        gradient(tensors, dtype).astype(np.float64).tofile(f"{folder}/gradient-{step}-{dtype}")
    print(step, flush=True)
