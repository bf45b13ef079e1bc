"""Computes one training step of many small models in Keras, as reference figures for another implementation.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install tensorflow-cpu==2.21 tf_keras==2.21 keras==3.15.1
    python test/reference/keras_models.py > test/reference/keras-models.json

With `--add FILE` it computes only the models that FILE lacks, and writes FILE with them at its end: the others keep their bytes.

With `--random N --seed S` it prints N models with random settings instead, to search for differences by hand.

Most models are built by Keras 2 (tf_keras), a few by Keras 3. Each topology is that of to_json(). To keep the file small, most
topologies lack null values, `module`, `registered_name` and `build_config`.

Before the step, every tensor of a model is filled as hashed.py describes.

The batch: SAMPLES images of pixels() in hashed.py, divided by 255 as float32; labels count up. The loss is
the SUM of the categorical cross-entropy, plus SAMPLES x the penalties of the outputs of layers, which Keras divides by SAMPLES. For a tensor that is not trained, the gradient's place holds SAMPLES x
its change in the step. Random layers of Keras 3 use the numbers of keyed.py. Batch normalization is not fused: fused,
TensorFlow takes the unbiased variance for the moving one, which Keras 3 does not.

Keras 3 computes in float64 where TensorFlow can, Keras 2 in float32.

Figures of a tensor's gradient g: its norm, and the sums of s_k[i] g[i] for k = 0..3, where s_k[i] is 1 if the highest bit
of lowbias32(4 i + k + 99) is set, else -1: an error of a size d changes each by about d.
"""

import argparse
import json
import os
import platform
import random
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras as keras2
from hashed import filling, hashed, pixels
from keyed import keyed

SHAPE = (9, 8, 2)
SAMPLES = 4
CLASSES = 3
PROJECTIONS = 4


def batch():
    return pixels((SAMPLES, *SHAPE)).astype(np.float32) / np.float32(255), np.arange(SAMPLES) % CLASSES


def step(keras, model):
    """Fills the model's weights and returns loss, tensors (name, shape, trainable) and their gradients."""
    if keras is keras2:
        for layer in model._flatten_layers(include_self=False):
            if hasattr(layer, "fused"):
                layer.fused = False
    trainable = list(model.trainable_weights)
    others = [w for w in model.non_trainable_weights if "seed" not in w.name]
    weights = trainable + others
    for t, weight in enumerate(weights):
        weight.assign(filling(t, weight.name, tuple(weight.shape)))
    before = [np.array(w) for w in others]
    images, labels = batch()
    images = images.reshape((SAMPLES, *model.input_shape[1:])) if model.input_shape[1] else images
    with tf.GradientTape() as tape:
        probabilities = model(images, training=True)
        target = np.eye(CLASSES, dtype=np.float32)[labels]
        loss = keras.losses.CategoricalCrossentropy(reduction="sum")(target, probabilities)
        if model.losses:
            loss += SAMPLES * sum(model.losses)
    variables = [w.value if keras is keras3 else w for w in trainable]
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    gradients = [np.array(tf.convert_to_tensor(g)) for g in gradients]
    changes = [(np.array(w) - b) * SAMPLES for w, b in zip(others, before)]
    tensors = [(w.name, list(w.shape), i < len(trainable)) for i, w in enumerate(weights)]
    return float(loss), tensors, gradients + changes


def figures(gradient):
    g = gradient.reshape(-1).astype(np.float64)
    signs = (hashed(PROJECTIONS * g.size, 99) >> np.uint32(31)).astype(np.float64).reshape(-1, PROJECTIONS) * 2 - 1
    return {"norm": short(np.linalg.norm(g)), "projections": [short(x) for x in signs.T @ g]}


def short(value):
    return float(f"{value:.7g}")


def smaller(value):
    """Topology without irrelevant keys."""
    if isinstance(value, list):
        return [smaller(x) for x in value]
    if not isinstance(value, dict):
        return value
    left_out = ("module", "registered_name", "build_config", "compile_config", "backend")
    # The module tells operations from layers.
    operation = str(value.get("module")).startswith("keras.src.ops")
    return {
        k: smaller(v)
        for k, v in value.items()
        if v is not None and (k not in left_out or (operation and k == "module"))
    }


def step3(text):
    """step() of a model of Keras 3, in float64 if TensorFlow has all of its ops in float64."""
    for floatx in ["float64", "float32"]:
        keras3.config.set_floatx(floatx)
        try:
            model = keras3.models.model_from_json(text.replace("float32", floatx))
            with keyed(model):
                return step(keras3, model)
        except (TypeError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
            if floatx == "float32":
                raise
            print(f"in float32: {error}"[:200], file=sys.stderr)
        finally:
            keras3.config.set_floatx("float32")


def record(name, keras, model, whole=False):
    text = model.to_json()
    topology = json.loads(text)
    loss, tensors, gradients = step3(text) if keras is keras3 else step(keras, model)
    return {
        "name": name,
        "topology": topology if whole else smaller(topology),
        "loss": short(loss),
        "tensors": [
            {"shape": shape, "trainable": trained, **figures(g)} for (_, shape, trained), g in zip(tensors, gradients)
        ],
    }


# Each model is small and has different sizes in all dimensions, so that swapped dimensions show.


def image(*layers, keras=keras2, head=True):
    """Model of layers on images, with a classifier head."""
    end = [keras.layers.Flatten(), keras.layers.Dense(CLASSES, activation="softmax")] if head else []
    return keras.Sequential([keras.layers.Input(SHAPE), *layers, *end])


def rows(*layers, keras=keras2, **options):
    """Model of layers on sequences of 9 vectors of 16 values."""
    return image(keras.layers.Reshape((9, 16)), *layers, keras=keras, **options)


def graph(make, keras=keras2):
    """Functional model; make(input) returns the input of the classifier."""
    start = keras.layers.Input(SHAPE)
    x = keras.layers.Flatten()(make(start))
    return keras.Model(start, keras.layers.Dense(CLASSES, activation="softmax")(x))


def frozen(layer):
    layer.trainable = False
    return layer


def kinds():
    L = keras2.layers
    conv = lambda **more: L.Conv2D(3, 3, **more)
    dense = lambda **more: L.Dense(5, **more)

    activations = ["linear", "relu", "relu6", "sigmoid", "tanh", "softmax", "elu", "selu", "softplus", "softsign"]
    for name in [*activations, "swish", "gelu", "hard_sigmoid"]:
        yield f"Dense {name}", image(L.Flatten(), dense(activation=name))
    yield "Dense without bias", image(L.Flatten(), dense(use_bias=False))
    yield "Dense on images", image(dense(activation="relu"), L.Permute((2, 3, 1)), dense())
    yield "Activation", image(conv(), L.Activation("tanh"), L.Flatten(), L.Dense(CLASSES), L.Softmax(), head=False)

    for padding in ["valid", "same"]:
        yield f"Conv1D {padding}", rows(L.Conv1D(3, 4, strides=2, padding=padding, activation="relu"))
        yield f"Conv1D {padding}, dilated", rows(
            L.Conv1D(3, 3, dilation_rate=2, padding=padding), L.Conv1D(3, 2, dilation_rate=2, padding=padding)
        )
        yield f"Conv2D {padding}, dilated", image(
            L.Conv2D(3, (3, 2), dilation_rate=(2, 3), padding=padding, activation="relu"),
            L.Conv2D(2, 2, dilation_rate=2, padding=padding),
        )
        yield f"Conv2D {padding}", image(L.Conv2D(3, (2, 3), strides=(2, 1), padding=padding, use_bias=False))
        yield f"Conv2DTranspose {padding}", image(L.Conv2DTranspose(3, (3, 2), strides=(2, 2), padding=padding))
        yield f"SeparableConv2D {padding}", image(L.SeparableConv2D(3, (3, 3), depth_multiplier=2, padding=padding))
        yield f"DepthwiseConv2D {padding}", image(L.DepthwiseConv2D((3, 3), strides=2, depth_multiplier=3, padding=padding))
        yield f"Conv3D {padding}", image(L.Reshape((9, 4, 2, 2)), L.Conv3D(3, (3, 2, 1), padding=padding))
        for pool in [L.MaxPooling2D, L.AveragePooling2D]:
            yield f"{pool.__name__} {padding}", image(conv(), pool((3, 2), strides=(2, 1), padding=padding))
            yield f"{pool.__name__} {padding} by itself", image(conv(padding="same"), pool((4, 3), padding=padding))
        for pool in [L.MaxPooling1D, L.AveragePooling1D]:
            yield f"{pool.__name__} {padding}", rows(dense(), pool(4, strides=3, padding=padding))
        for pool in [L.MaxPooling3D, L.AveragePooling3D]:
            cube = L.Reshape((9, 4, 2, 2))
            yield f"{pool.__name__} {padding}", image(cube, L.Dense(3), pool((2, 3, 2), strides=2, padding=padding))
    for pool in [L.GlobalAveragePooling2D, L.GlobalMaxPooling2D]:
        yield pool.__name__, image(conv(), pool(), L.Dense(CLASSES, activation="softmax"), head=False)
    for pool in [L.GlobalAveragePooling1D, L.GlobalMaxPooling1D]:
        yield pool.__name__, rows(dense(), pool(), L.Dense(CLASSES, activation="softmax"), head=False)
    causal = {"padding": "causal"}
    yield "Conv1D causal", rows(L.Conv1D(3, 3, activation="relu", **causal), L.Conv1D(2, 2, dilation_rate=2, **causal))
    yield "Conv1D causal, strided", rows(L.Conv1D(3, 3, strides=2, **causal))
    yield "UpSampling2D nearest", image(conv(), L.UpSampling2D((2, 3)), conv())
    yield "UpSampling2D bilinear", image(conv(), L.UpSampling2D((2, 3), interpolation="bilinear"), conv())
    yield "ZeroPadding2D and Cropping2D", image(
        L.ZeroPadding2D(((1, 0), (2, 3))), conv(), L.Cropping2D(((0, 1), (2, 1))), L.ZeroPadding2D(1), L.Cropping2D((1, 2))
    )
    yield "RepeatVector", image(L.Flatten(), dense(), L.RepeatVector(3), L.Dense(2))
    yield "Flatten, channels first", image(L.Flatten(data_format="channels_first"), dense())

    yield "ReLU", image(conv(), L.ReLU())
    yield "ReLU max_value", image(conv(), L.ReLU(max_value=0.3))
    yield "ReLU negative_slope", image(conv(), L.ReLU(negative_slope=0.2))
    yield "ReLU threshold", image(conv(), L.ReLU(threshold=0.1))
    yield "ReLU of all", image(conv(), L.ReLU(max_value=0.5, negative_slope=0.3, threshold=0.1))
    yield "LeakyReLU", image(conv(), L.LeakyReLU(alpha=0.1))
    yield "PReLU", image(conv(), L.PReLU())
    yield "PReLU shared", image(conv(), L.PReLU(shared_axes=[1, 2]))
    yield "PReLU shared by rows", image(conv(), L.PReLU(shared_axes=[1]))
    yield "PReLU of one value", image(conv(), L.PReLU(shared_axes=[1, 2, 3]))
    yield "ELU", image(conv(), L.ELU())
    yield "Softmax within", image(conv(), L.Softmax(), conv())

    yield "BatchNormalization", image(conv(), L.BatchNormalization(momentum=0.9, epsilon=0.01), conv())
    yield "BatchNormalization of vectors", image(L.Flatten(), dense(), L.BatchNormalization(), L.ReLU())
    yield "BatchNormalization of sequences", rows(dense(), L.BatchNormalization())
    yield "BatchNormalization, frozen", image(conv(), frozen(L.BatchNormalization()), L.ReLU())
    yield "BatchNormalization without center", image(conv(), L.BatchNormalization(center=False))
    yield "BatchNormalization without scale", image(conv(), L.BatchNormalization(scale=False))
    yield "BatchNormalization without both", image(conv(), L.BatchNormalization(center=False, scale=False))
    yield "BatchNormalization of rows", image(conv(), L.BatchNormalization(axis=1))
    yield "LayerNormalization", image(conv(), L.LayerNormalization(epsilon=0.01))
    yield "LayerNormalization of vectors", image(L.Flatten(), dense(), L.LayerNormalization())
    yield "LayerNormalization of sequences", rows(dense(), L.LayerNormalization())
    yield "LayerNormalization of three axes", image(conv(), L.LayerNormalization(axis=(1, 2, 3)))
    yield "LayerNormalization without center", image(conv(), L.LayerNormalization(center=False))
    yield "LayerNormalization without scale", image(conv(), L.LayerNormalization(scale=False))
    yield "LayerNormalization of rows", image(conv(), L.LayerNormalization(axis=1))

    for merge in [L.Add, L.Multiply, L.Average, L.Maximum, L.Minimum]:
        yield merge.__name__, graph(lambda x, merge=merge: merge()([conv()(x), conv()(x), conv()(x)]))
    yield "Add of a channel", graph(lambda x: L.Add()([L.Conv2D(1, 3)(x), conv()(x)]))
    yield "Concatenate", graph(lambda x: L.Concatenate()([conv()(x), L.Conv2D(2, 3)(x)]))
    yield "Concatenate of rows", graph(lambda x: L.Concatenate(axis=1)([conv()(x), L.Conv2D(3, (2, 3))(x)]))
    flat = lambda x: dense()(L.Flatten()(x))
    yield "Dot", graph(lambda x: L.Dot(axes=1)([flat(x), flat(x)]))
    yield "Dot normalized", graph(lambda x: L.Dot(axes=-1, normalize=True)([flat(x), flat(x)]))
    series = lambda x: L.Dense(4)(L.Reshape((9, 16))(x))
    yield "Dot of sequences", graph(lambda x: L.Dot(axes=2)([series(x), series(x)]))
    yield "Dot of a sequence and a vector", graph(lambda x: L.Dot(axes=(2, 1))([series(x), L.Dense(4)(flat(x))]))
    yield "Dot across", graph(lambda x: L.Dot(axes=(1, 2))([series(x), L.Permute((2, 1))(series(x))]))
    yield "Dot over time", graph(lambda x: L.Dot(axes=(1, 1))([series(x), series(x)]))

    for recurrent in [L.SimpleRNN, L.LSTM, L.GRU]:
        name = recurrent.__name__
        more = {"reset_after": False} if recurrent is L.GRU else {}
        yield name, rows(recurrent(4, **more))
        yield f"{name} of sequences", rows(recurrent(4, return_sequences=True, go_backwards=True, use_bias=False, **more))
        for merge in ["concat", "sum", "ave", "mul"]:
            both = L.Bidirectional(recurrent(3, return_sequences=merge != "sum", **more), merge_mode=merge)
            yield f"Bidirectional {name}, {merge}", rows(both)
    yield "LSTM of other activations", rows(L.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid", unroll=True))
    yield "GRU, reset after", rows(L.GRU(4))
    yield "GRU, reset after, of sequences", rows(L.GRU(4, return_sequences=True, use_bias=False))
    yield "RNN of cells", rows(L.RNN([L.LSTMCell(4), L.GRUCell(3, reset_after=False), L.SimpleRNNCell(2)]))
    yield "TimeDistributed Dense", rows(L.TimeDistributed(dense(activation="relu")))
    yield "TimeDistributed Conv2D", image(L.Reshape((3, 3, 8, 2)), L.TimeDistributed(L.Conv2D(2, (2, 3), padding="same")))
    yield "TimeDistributed BatchNormalization", rows(dense(), L.TimeDistributed(L.BatchNormalization()))
    yield "Embedding", image(L.Rescaling(9), L.Flatten(), L.Embedding(10, 3), L.GlobalAveragePooling1D(), dense())
    yield "Rescaling", image(L.Rescaling(2, offset=-1), conv())

    first = {"data_format": "channels_first"}
    yield "channels first", image(
        L.Permute((3, 1, 2)),
        L.ZeroPadding2D(1, **first),
        L.Cropping2D(((1, 0), (0, 1)), **first),
        L.UpSampling2D((1, 2), **first),
        L.Flatten(**first),
    )
    yield "Dropout", image(L.Dropout(0.0), conv(), L.SpatialDropout2D(0.0))

    yield "frozen Conv2D", image(frozen(conv()), conv())
    yield "a shared layer", graph(lambda x: (lambda one: L.Add()([one(x), one(L.Cropping2D(0)(x))]))(conv()))
    nested = lambda: keras2.Sequential([L.Input(SHAPE), conv(), L.BatchNormalization(), L.ReLU()])
    yield "a model within", image(nested(), conv())
    yield "a frozen model within", image(frozen(nested()), conv())
    yield "a frozen model called for inference", graph(lambda x: (lambda one: conv()(one(x, training=False)))(frozen(nested())))
    yield "a model called for inference", graph(lambda x: conv()(nested()(x, training=False)))
    tower = lambda name: keras2.Sequential([L.Input(SHAPE), L.Conv2D(2, 3, name="c"), L.ReLU(name="r")], name=name)
    yield "two models with layers of one name", graph(lambda x: L.Add()([tower("a")(x), tower("b")(x)]))
    yield "open sizes", keras2.Sequential(
        [L.Input((None, None, 2)), conv(), L.GlobalAveragePooling2D(), L.Dense(CLASSES, activation="softmax")]
    )
    yield "flat input", keras2.Sequential([L.Input((144,)), dense(activation="relu"), L.Dense(CLASSES, activation="softmax")])
    # Of the pixels 0 .. 255, Rescaling to 0 .. 3 makes a quarter 0.
    words = lambda x, scale: L.Embedding(4, 5, mask_zero=True)(L.Rescaling(scale)(L.Flatten()(L.Cropping2D((3, 1))(x))))
    yield "masks of two inputs", graph(lambda x: L.LSTM(3)(L.Add()([words(x, 3.9), words(x, 1.9)])))
    yield "a mask of one of two inputs", graph(lambda x: L.GRU(3)(L.Average()([words(x, 3.9), L.Dense(5)(words(x, 2.9))])))
    plain = lambda x: L.Dense(5)(L.Reshape((36, 1))(L.Cropping2D((3, 1))(x)))
    yield "a mask of the second of two inputs", graph(lambda x: L.LSTM(3)(L.Maximum()([plain(x), words(x, 3.9)])))
    yield "softmax of pixels", image(L.Conv2D(CLASSES, (9, 8), activation="softmax"), L.Flatten(), head=False)


def kinds3():
    """Models of Keras 3, whose topologies have another format."""
    L = keras3.layers
    sequence = lambda *layers: rows(*layers, keras=keras3)
    yield "Keras 3: Conv2D", image(L.Conv2D(3, 3, activation="silu"), L.MaxPooling2D(2), L.Dropout(0.0), keras=keras3)
    yield "Keras 3: LeakyReLU", image(L.Conv2D(3, 3), L.LeakyReLU(negative_slope=0.05), keras=keras3)
    yield "Keras 3: ReLU", image(L.Conv2D(3, 3), L.ReLU(negative_slope=0.3), keras=keras3)
    yield "Keras 3: BatchNormalization", image(L.Conv2D(3, 3), L.BatchNormalization(), keras=keras3)
    yield "Keras 3: LSTM", sequence(L.LSTM(3))
    yield "Keras 3: Bidirectional", sequence(L.Bidirectional(L.LSTM(3, return_sequences=True)))
    yield "Keras 3: GRU", sequence(L.GRU(3))
    branch = lambda x: L.Concatenate()([L.Conv2D(2, 3)(x), L.SeparableConv2D(3, 3)(x)])
    yield "Keras 3: functional", graph(branch, keras=keras3)
    inner = lambda: keras3.Sequential([L.Input(SHAPE), L.Conv2D(2, 3), L.BatchNormalization()])
    yield "Keras 3: a frozen model called for inference", graph(
        lambda x: frozen(inner())(x, training=False), keras=keras3
    )
    for model in [attention3, normalization3, activations3, random3, recurrent3, resizing3, convolution3, masks3, more3, penalties3, operations3, later3]:
        yield from ((f"Keras 3: {name}", built) for name, built in model())


def picture3(*layers):
    """Model of Keras 3 around layers between two convolutions."""
    L = keras3.layers
    return image(L.Conv2D(4, 3, activation="tanh"), *layers, L.Conv2D(2, 2), keras=keras3)


def series3(*layers):
    """Model of Keras 3 around layers on 9 vectors of 6 values."""
    return rows(keras3.layers.Dense(6, activation="tanh"), *layers, keras=keras3)


def attention3():
    L = keras3.layers
    vectors = lambda x, units=6: L.Dense(units, activation="tanh")(L.Reshape((9, 16))(x))
    fewer = lambda x: L.Dense(5, activation="tanh")(L.Reshape((8, 18))(x))
    once = lambda layer, **more: graph(lambda x: (lambda y: layer(y, y, **more))(vectors(x)), keras=keras3)
    yield "MultiHeadAttention", once(L.MultiHeadAttention(2, 3))
    yield "MultiHeadAttention, causal", once(L.MultiHeadAttention(2, 3), use_causal_mask=True)
    yield "MultiHeadAttention of other sizes", once(L.MultiHeadAttention(3, 2, value_dim=4, output_shape=5, use_bias=False))
    yield "MultiHeadAttention with dropout", once(L.MultiHeadAttention(2, 3, dropout=0.3))
    yield "MultiHeadAttention to other steps", graph(
        lambda x: L.MultiHeadAttention(2, 3)(vectors(x), fewer(x)), keras=keras3
    )
    yield "MultiHeadAttention with keys", graph(
        lambda x: L.MultiHeadAttention(2, 3)(vectors(x), value=vectors(x, 4), key=vectors(x, 3)), keras=keras3
    )
    yield "GroupQueryAttention", once(L.GroupQueryAttention(3, 4, 2))
    for use_scale in [False, True]:
        plain = lambda layer: graph(lambda x: (lambda y: layer([y, vectors(x)]))(vectors(x)), keras=keras3)
        yield f"Attention, scale {use_scale}", plain(L.Attention(use_scale=use_scale))
        yield f"Attention of sums, scale {use_scale}", plain(L.Attention(use_scale=use_scale, score_mode="concat"))
        yield f"AdditiveAttention, scale {use_scale}", plain(L.AdditiveAttention(use_scale=use_scale))
    yield "Attention with keys, causal", graph(
        lambda x: L.Attention(dropout=0.2)([vectors(x), vectors(x, 4), vectors(x)], use_causal_mask=True), keras=keras3
    )


def normalization3():
    L = keras3.layers
    yield "GroupNormalization", picture3(L.GroupNormalization(2))
    yield "GroupNormalization by channel, plain", picture3(L.GroupNormalization(-1, center=False, scale=False))
    yield "GroupNormalization of rows", picture3(L.GroupNormalization(3, axis=2, epsilon=0.01))
    yield "GroupNormalization of sequences", series3(L.GroupNormalization(3))
    yield "LayerNormalization of two axes", picture3(L.LayerNormalization(axis=(1, 3)))
    yield "RMSNormalization", picture3(L.RMSNormalization(epsilon=0.01))
    yield "UnitNormalization", picture3(L.UnitNormalization())
    yield "UnitNormalization of two axes", picture3(L.UnitNormalization(axis=[1, 3]))
    yield "Normalization", image(L.Normalization(mean=[0.3, 0.5], variance=[0.2, 0.1]), L.Conv2D(3, 3), keras=keras3)
    yield "Normalization of one value", picture3(L.Normalization(axis=None, mean=0.1, variance=2.0, invert=True))


def activations3():
    L = keras3.layers
    more = "celu exponential hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid log_softmax mish"
    for name in f"{more} relu6 soft_shrink sparse_plus sparse_sigmoid squareplus tanh_shrink".split():
        yield f"activation {name}", image(L.Conv2D(3, 3, activation=name), L.Rescaling(4), L.Activation(name), keras=keras3)
    yield "LSTM of other activations", series3(L.LSTM(3, activation="leaky_relu", recurrent_activation="hard_sigmoid"))
    yield "ELU 0.4", picture3(L.ELU(alpha=0.4))


def random3():
    L = keras3.layers
    yield "Dropout", picture3(L.Dropout(0.4), L.SpatialDropout2D(0.3), L.Dropout(0.2, noise_shape=(None, 1, None, None)))
    yield "SpatialDropout1D", series3(L.SpatialDropout1D(0.3))
    yield "SpatialDropout3D", image(L.Reshape((3, 3, 8, 2)), L.Dense(3), L.SpatialDropout3D(0.4), keras=keras3)
    yield "GaussianNoise", picture3(L.GaussianNoise(0.3))
    yield "GaussianDropout", picture3(L.GaussianDropout(0.3))
    yield "AlphaDropout of rate 1/4", picture3(L.AlphaDropout(0.25), L.AlphaDropout(0.5, noise_shape=(None, 1, 1, None)))
    augment = lambda *layers: image(*layers, L.Conv2D(3, 3), keras=keras3)
    for mode in ["reflect", "wrap", "constant", "nearest"]:
        for way in ["bilinear", "nearest"]:
            more = {"fill_mode": mode, "interpolation": way, "fill_value": 0.2 if mode == "constant" else 0.0}
            yield f"RandomRotation {mode} {way}", augment(L.RandomRotation(0.2, **more))
            yield f"RandomTranslation {mode} {way}", augment(L.RandomTranslation(0.3, (-0.4, 0.1), **more))
            yield f"RandomZoom {mode} {way}", augment(L.RandomZoom((-0.3, 0.5), 0.2, **more))
    yield "RandomZoom of one factor", augment(L.RandomZoom(0.4))
    for mode in ["horizontal", "vertical", "horizontal_and_vertical"]:
        yield f"RandomFlip {mode}", augment(L.RandomFlip(mode))
    yield "RandomContrast", augment(L.RandomContrast(0.5, value_range=(0.1, 0.9)), L.RandomContrast((0.3, 0.6)))
    yield "RandomBrightness", augment(L.RandomBrightness(0.3, value_range=(0, 1)), L.RandomBrightness((0.0, 0.002)))


def recurrent3():
    L = keras3.layers
    for recurrent in [L.SimpleRNN, L.LSTM, L.GRU]:
        name = recurrent.__name__
        variants = {name: {}} if recurrent is not L.GRU else {name: {}, "GRU, reset before": {"reset_after": False}}
        for name, more in variants.items():
            yield f"{name} with dropout", series3(L.Dropout(0.2), recurrent(4, dropout=0.3, **more), L.Dropout(0.1))
            yield f"{name} with recurrent dropout", series3(recurrent(4, recurrent_dropout=0.4, **more))
            yield f"{name} with both dropouts", series3(recurrent(4, dropout=0.3, recurrent_dropout=0.4, **more))
            both = L.Bidirectional(recurrent(3, dropout=0.3, recurrent_dropout=0.2, **more), merge_mode="sum")
            yield f"Bidirectional {name} with dropout", series3(both, L.Dropout(0.1))
        state = lambda x, recurrent=recurrent: recurrent(4, return_state=True, return_sequences=True, go_backwards=True)(
            L.Reshape((9, 16))(x)
        )
        yield f"{name} with its state", graph(lambda x, state=state: L.Concatenate()([L.Flatten()(y) for y in state(x)]), keras=keras3)
        yield f"{name} with an initial state", graph(
            lambda x, state=state, recurrent=recurrent: (
                lambda y, *states: recurrent(4)(y, initial_state=list(states) if len(states) > 1 else states[0])
            )(*state(x)),
            keras=keras3,
        )
    cells = lambda: [L.LSTMCell(4, dropout=0.2), L.GRUCell(3, recurrent_dropout=0.3)]
    yield "RNN of cells with dropout", series3(L.RNN(cells(), return_sequences=True), L.Dropout(0.1))
    for merge in ["concat", "ave", "mul"]:
        yield f"Bidirectional, {merge}", series3(L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode=merge))


def volume3(*layers, first=True):
    """Model of Keras 3 around layers on volumes of [4, 3, 6, 3] values."""
    L = keras3.layers
    start = [L.Dense(3, activation="tanh")] if first else []
    return image(L.Reshape((4, 3, 6, 2)), *start, *layers, keras=keras3)


def resizing3():
    L = keras3.layers
    yield "ZeroPadding1D and Cropping1D", series3(L.ZeroPadding1D((2, 1)), L.Conv1D(2, 2), L.Cropping1D((1, 2)), L.ZeroPadding1D(2))
    yield "ZeroPadding3D and Cropping3D", volume3(
        L.ZeroPadding3D(((1, 0), (2, 1), (0, 3))), L.Dense(2), L.Cropping3D(((0, 1), (1, 1), (2, 0))), L.ZeroPadding3D(1)
    )
    yield "UpSampling1D", series3(L.UpSampling1D(3), L.Conv1D(2, 2))
    yield "UpSampling3D", volume3(L.UpSampling3D((2, 1, 3)), L.Conv3D(2, 2))
    for way in ["bicubic", "lanczos3", "lanczos5"]:
        yield f"UpSampling2D {way}", picture3(L.UpSampling2D((3, 2), interpolation=way))
    first = {"data_format": "channels_first"}
    yield "Volumes, channels first", volume3(L.ZeroPadding3D((1, 0, 2), **first), L.Cropping3D((0, 1, 1), **first), L.UpSampling3D(2, **first))


def convolution3():
    L = keras3.layers
    for padding in ["valid", "same"]:
        p = {"padding": padding}
        yield f"Conv1D {padding}, groups", series3(L.Conv1D(4, 2, groups=2, **p), L.Conv1D(6, 3, groups=2, dilation_rate=2, **p))
        yield f"Conv2D {padding}, groups", picture3(L.Conv2D(6, (2, 3), groups=2, strides=(2, 1), activation="relu", **p))
        yield f"Conv3D {padding}, dilated", volume3(L.Conv3D(3, (2, 2, 3), dilation_rate=(1, 2, 2), **p))
        yield f"Conv3D {padding}, groups", volume3(L.Conv3D(6, 2, groups=3, use_bias=False, activation="tanh", **p))
        yield f"Conv1DTranspose {padding}", series3(L.Conv1DTranspose(4, 3, strides=2, activation="tanh", **p))
        yield f"Conv1DTranspose {padding}, no strides", series3(L.Conv1DTranspose(4, 4, use_bias=False, **p))
        yield f"Conv1DTranspose {padding}, long strides", series3(L.Conv1DTranspose(2, 2, strides=3, **p))
        yield f"Conv3DTranspose {padding}", volume3(L.Conv3DTranspose(2, (2, 3, 2), strides=(1, 2, 3), **p))
        # TensorFlow has no strides of two sizes.
        yield f"Conv2DTranspose {padding}, output_padding", picture3(
            L.Conv2DTranspose(3, (3, 4), strides=(2, 3), output_padding=(1, 2), activation="relu", **p)
        )
        yield f"Conv1DTranspose {padding}, output_padding", series3(L.Conv1DTranspose(3, 4, strides=3, output_padding=1, **p))
        yield f"DepthwiseConv1D {padding}", series3(L.DepthwiseConv1D(3, strides=2, depth_multiplier=2, activation="tanh", **p))
        yield f"DepthwiseConv1D {padding}, dilated", series3(L.DepthwiseConv1D(3, dilation_rate=2, **p))
        yield f"DepthwiseConv2D {padding}, dilated", picture3(L.DepthwiseConv2D((2, 3), dilation_rate=2, depth_multiplier=2, **p))
        yield f"SeparableConv1D {padding}", series3(L.SeparableConv1D(4, 3, strides=2, depth_multiplier=2, activation="relu", **p))
        yield f"SeparableConv1D {padding}, dilated", series3(L.SeparableConv1D(4, 2, dilation_rate=3, use_bias=False, **p))
        yield f"SeparableConv2D {padding}, dilated", picture3(L.SeparableConv2D(4, (3, 2), dilation_rate=2, activation="relu", **p))
    yield "Conv1D causal, groups", series3(L.Conv1D(4, 3, groups=2, padding="causal", dilation_rate=2))
    end = lambda *layers: image(*layers, L.Flatten(), L.Dense(CLASSES, activation="softmax"), keras=keras3, head=False)
    for kind in ["Average", "Max"]:
        pool = lambda axes, **more: getattr(L, f"Global{kind}Pooling{axes}D")(**more)
        yield f"Global{kind}Pooling3D", end(L.Reshape((4, 3, 6, 2)), L.Dense(3), pool(3))
        yield f"Global{kind}Pooling1D, keepdims", end(L.Reshape((9, 16)), L.Dense(3), pool(1, keepdims=True), L.Conv1D(2, 1))
        yield f"Global{kind}Pooling2D, keepdims", end(L.Conv2D(3, 2), pool(2, keepdims=True), L.Conv2D(2, 1))
        yield f"Global{kind}Pooling3D, keepdims", end(L.Reshape((4, 3, 6, 2)), L.Dense(3), pool(3, keepdims=True), L.Conv3D(2, 1))
        first = {"data_format": "channels_first"}
        yield f"Global{kind}Pooling, channels first", end(L.Conv2D(3, 2), pool(2, keepdims=True, **first), L.Dense(2))


def masks3():
    """Models with masks. Of the pixels 0 .. 255, Rescaling to 0 .. 3 makes a quarter 0."""
    L = keras3.layers
    words = lambda x: L.Embedding(4, 5, mask_zero=True)(L.Rescaling(3.9)(L.Flatten()(L.Cropping2D((3, 1))(x))))
    # Relu makes some steps zeros.
    steps = lambda x: L.Masking()(L.Dense(2, activation="relu")(L.Reshape((9, 16))(x)))
    for kind, start in {"Embedding": words, "Masking": steps}.items():
        masked = lambda *layers, start=start: graph(lambda x: keras3.Sequential(list(layers))(start(x)), keras=keras3)
        plain = lambda make, start=start: graph(lambda x: make(start(x)), keras=keras3)
        yield f"{kind}, GlobalAveragePooling1D", plain(lambda x: L.GlobalAveragePooling1D()(L.Dense(4)(x)))
        for recurrent in [L.SimpleRNN, L.LSTM, L.GRU]:
            name = recurrent.__name__
            yield f"{kind}, {name}", plain(lambda x, recurrent=recurrent: recurrent(3)(L.LayerNormalization()(x)))
            yield f"{kind}, {name} twice", plain(
                lambda x, recurrent=recurrent: recurrent(4)(recurrent(3, return_sequences=True, go_backwards=True)(x))
            )
        yield f"{kind}, Bidirectional", plain(lambda x: L.GRU(2)(L.Bidirectional(L.LSTM(3, return_sequences=True))(x)))
        yield f"{kind}, TimeDistributed", plain(lambda x: L.LSTM(3)(L.TimeDistributed(L.Dense(4))(x)))
        yield f"{kind}, Add", plain(lambda x: L.GRU(3)(L.Add()([x, L.Activation("tanh")(x)])))
        yield f"{kind}, a layer without masks", plain(lambda x: L.GRU(3)(L.Conv1D(3, 2)(x)))
        yield f"{kind}, attention", plain(lambda x: L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(x, x)))
        yield f"{kind}, plain attention", plain(lambda x: L.GRU(2)(L.Attention()([x, x], use_causal_mask=True)))


def more3():
    L = keras3.layers
    for axes in [[2], [3], [2, 3], [1, 3]]:
        yield f"PReLU shared along {axes}", picture3(L.PReLU(shared_axes=axes))
    yield "Subtract", graph(lambda x: L.Subtract()([L.Conv2D(3, 3)(x), L.Conv2D(1, 3)(x)]), keras=keras3)
    yield "Identity", picture3(L.Identity())
    yield "Dot, normalized", graph(lambda x: L.Dot(axes=2, normalize=True)([L.Dense(4)(L.Reshape((9, 16))(x))] * 2), keras=keras3)
    for equation, size, bias in [
        ("abc,cd->abd", (9, 4), "d"),
        ("abc,bcd->abd", (9, 4), "bd"),
        ("abc,cde->abde", (9, 4, 3), "de"),
        ("abc,cd->adb", (4, 9), None),
    ]:
        yield f"EinsumDense {equation}", series3(L.EinsumDense(equation, size, bias_axes=bias, activation="tanh"))


def penalties3():
    """Models with penalties of the outputs of layers."""
    L = keras3.layers
    r = keras3.regularizers
    yield "activity L1", picture3(L.Conv2D(3, 2, activation="relu", activity_regularizer=r.L1(0.02)))
    yield "activity L2", series3(L.Dense(4, activity_regularizer=r.L2(0.03)), L.Activation("tanh", activity_regularizer=r.L1(0.05)))
    end = L.Dense(CLASSES, activation="softmax", activity_regularizer=r.L1L2(0.2, 0.3))
    yield "activity of the softmax", image(L.Conv2D(2, 3), L.Flatten(), end, keras=keras3, head=False)
    yield "ActivityRegularization", picture3(L.ActivityRegularization(0.03, 0.02), L.Dropout(0.2))
    state = L.LSTM(3, return_state=True, activity_regularizer=r.L2(0.1))
    yield "activity of a recurrent layer", graph(lambda x: L.Concatenate()(state(L.Reshape((9, 16))(x))), keras=keras3)
    yield "activity in a Bidirectional", series3(
        L.Bidirectional(L.GRU(3, activity_regularizer=r.L1(0.1), return_sequences=True), activity_regularizer=r.L2(0.1))
    )
    inner = keras3.Sequential([L.Input((6,)), L.Dense(6, activation="relu", activity_regularizer=r.L1L2(0.01, 0.02))])
    yield "activity of a model called twice", graph(lambda x: inner(inner(L.Dense(6)(L.Flatten()(x)))), keras=keras3)


def operations3():
    """Operations on tensors between layers."""
    L = keras3.layers
    o = keras3.ops
    rows_of = lambda x, units=6: L.Dense(units, activation="tanh")(L.Reshape((9, 16))(x))
    one = lambda make: graph(lambda x: L.Conv1D(2, 2)(make(rows_of(x))), keras=keras3)
    two = lambda make: graph(lambda x: L.Conv1D(2, 2)(make(rows_of(x), rows_of(x))), keras=keras3)
    flat = lambda make: graph(lambda x: L.Dense(4)(make(rows_of(x))), keras=keras3)
    column = np.linspace(0.5, 2, 9, dtype="float32").reshape(9, 1)
    matrix = np.linspace(-1, 1, 30, dtype="float32").reshape(6, 5)
    yield "operations with numbers", one(lambda x: (2 * x - 0.3) / 1.7 + (1 - x) * 0.2 - 0.4 / (2 + x) + -x)
    yield "operations with arrays", one(lambda x: x * column + column[:, 0:1] - np.arange(6, dtype="float32"))
    yield "operations of tensors", two(lambda x, y: (x + y) * x - y / (x + 2))
    yield "powers and magnitudes", two(lambda x, y: x**2 + abs(y) ** 1.5 + 2.0**x + o.square(y) + o.power(x + 2, y))
    yield "maximum and minimum", two(lambda x, y: o.maximum(x, y) * 2 + o.minimum(x, 0.1))
    yield "roots and logarithms", one(
        lambda x: o.sqrt(x + 1.5) + o.rsqrt(x + 2) + o.log(x + 2) + o.log1p(x + 1) + o.expm1(x) + o.exp(x) + o.reciprocal(x + 3)
    )
    yield "waves", one(lambda x: o.sin(x) + o.cos(2 * x) + o.tan(x / 2) + o.sinh(x) + o.cosh(x) + o.tanh(x) + o.erf(x))
    yield "rounding", one(lambda x: x * o.floor(3 * x) + o.ceil(2 * x) * x + x * o.sign(x) + x * ((3 * x) // 1) + (3 * x) % 1)
    yield "comparisons", two(
        lambda x, y: o.where(x > y, x, 0.1 * y)
        + x * o.cast(o.logical_and(x < 0.3, o.logical_not(y >= 0.2)), "float32")
        + y * o.cast(o.logical_or(x <= -0.3, o.equal(o.cast(3 * y, "int32"), 1)), "float32")
        + o.where(o.not_equal(o.sign(x), 1), 1.0, x)
    )
    yield "sum and mean", flat(lambda x: o.sum(x, axis=1) * o.mean(x, axis=[1, 2], keepdims=False)[:, None])
    yield "max and min", flat(lambda x: o.max(x, axis=1) - o.min(x, axis=-2) + o.max(x, axis=(1, 2), keepdims=True)[:, 0])
    yield "max of equal elements", flat(lambda x: o.max(o.concatenate([x, x], axis=1), axis=1))
    yield "var and std", flat(lambda x: o.var(x, axis=1) + o.std(x, axis=1) + o.logsumexp(x, axis=1) + o.prod(x[:, :3], axis=1))
    yield "norms", one(lambda x: x / o.norm(x, axis=-1, keepdims=True) + o.normalize(x, axis=1) + o.norm(x, ord=2, axis=1)[:, None])
    yield "any, all and positions", one(
        lambda x: x * o.cast(o.any(x > 0.5, axis=-1, keepdims=True), "float32")
        + o.cast(o.all(x < 0.6, axis=1), "float32")[:, None] * x
        + o.cast(o.argmax(x, axis=-1, keepdims=True) - o.expand_dims(o.argmin(x, axis=2), -1), "float32") * x
    )
    yield "softmax along axes", one(lambda x: o.softmax(x, axis=1) + o.log_softmax(x, axis=-1) + o.softmax(x, axis=2))
    yield "glu and thresholds", one(
        lambda x: o.glu(x) + o.glu(o.concatenate([x, x], axis=1), axis=1)[..., :3] + o.threshold(x, 0.1, -0.2)[..., 3:]
    )
    yield "activations as operations", one(
        lambda x: o.relu(x) + o.relu6(8 * x) + o.sigmoid(x) + o.silu(x) + o.softplus(x) + o.softsign(x) + o.selu(x) + o.elu(x, 0.7)
    )
    yield "more activations as operations", one(
        lambda x: o.gelu(x) + o.gelu(x, approximate=False) + o.leaky_relu(x, 0.3) + o.hard_sigmoid(4 * x) + o.hard_silu(3 * x)
    )
    yield "other activations as operations", one(
        lambda x: o.hard_tanh(2 * x) + o.log_sigmoid(x) + o.celu(x, 0.6) + o.squareplus(x, 2) + o.soft_shrink(x, 0.2)
    )
    yield "last activations as operations", one(
        lambda x: o.hard_shrink(x, 0.3) + o.tanh_shrink(x) + o.sparse_plus(2 * x) + o.sparse_sigmoid(x) + o.clip(x, -0.4, 0.2)
    )
    yield "shapes", one(
        lambda x: o.squeeze(o.expand_dims(o.reshape(x, (-1, 6, 9)), 2), axis=2) + o.transpose(x, (0, 2, 1)) + o.swapaxes(x, 1, -1)
    )
    yield "open shapes", flat(lambda x: o.reshape(o.moveaxis(o.stack([x, 2 * x], axis=1), 1, 3), (-1, 108)))
    yield "joined and split", one(
        lambda x: o.concatenate(
            [
                *o.split(x, 3, axis=-1)[1:],
                o.repeat(o.split(x, [2, 5], axis=1)[1][:, :1], 9, axis=1),
                o.repeat(o.unstack(x, axis=1)[4][:, None], 9, axis=1) * o.ones_like(x),
            ],
            axis=-1,
        )
        + o.zeros_like(x[..., :1])
    )
    yield "slices", one(lambda x: x[:, ::-1] * x[..., 1:2] + x[:, -3, None, ::-1] + x[:, 1:8:3][:, :1] + x[:, 7:0:-3][:, 1:2] + x[:, 5:6])
    yield "steps", one(lambda x: x[:, ::2, 1::2])
    yield "picked", one(lambda x: o.concatenate([o.take(x, [0, 3, -1], axis=1), o.take(x, 2, axis=1)[:, None]], axis=1))
    yield "turned", one(lambda x: o.flip(x, axis=1) + o.roll(x, 2, axis=1) + o.cumsum(x, axis=1) + o.roll(x, -1, axis=2))
    yield "repeated", one(lambda x: o.tile(o.repeat(x, 2, axis=2), (1, 2, 1)))
    yield "padded", one(lambda x: o.pad(x, [[0, 0], [1, 2], [0, 1]]) + o.pad(x, [[0, 0], [2, 1], [1, 0]], constant_values=0.3))
    yield "one-hot", one(lambda x: x * o.one_hot(o.cast(o.abs(3 * x[:, :, 0]), "int32"), 6))
    yield "matmul", two(lambda x, y: o.matmul(o.softmax(x @ o.transpose(y, (0, 2, 1)) / 2.0), x) @ matrix)
    yield "matmul by constants", one(lambda x: o.matmul(np.linspace(-1, 1, 36, dtype="float32").reshape(4, 9), x) + o.dot(x, matrix)[:, :4, :1])
    yield "einsum", two(lambda x, y: o.einsum("bqd,bkd->bkq", x, y) + o.einsum("bqd,bke->bq", x, y)[:, None])
    yield "einsum by constants", one(lambda x: o.einsum("bqd,de->beq", x, matrix))
    twice = lambda x, scale: L.Embedding(4, 5, mask_zero=True)(L.Rescaling(scale)(L.Flatten()(L.Cropping2D((3, 1))(x))))
    yield "masks of two inputs", graph(lambda x: L.LSTM(3)(L.Add()([twice(x, 3.9), twice(x, 1.9)])), keras=keras3)
    yield "operations drop masks", graph(
        lambda x: L.LSTM(3)(L.Embedding(4, 5, mask_zero=True)(L.Rescaling(3.9)(L.Flatten()(L.Cropping2D((3, 1))(x)))) * 2), keras=keras3
    )
    start = L.Input(SHAPE)
    yield "a softmax as the last operation", keras3.Model(start, o.softmax(L.Dense(CLASSES)(L.Flatten()(start))))


def later3():
    """Layers that came later."""
    L = keras3.layers
    yield "Softmax over rows", picture3(L.Softmax(axis=1), L.Softmax(axis=[1, 3]))
    yield "Softmax over all axes but one", picture3(L.Softmax(axis=[-1, 1]), L.Softmax(axis=[-1]))
    for kind in ["Average", "Max"]:
        pool = lambda axes, size, **more: getattr(L, f"Adaptive{kind}Pooling{axes}D")(size, **more)
        yield f"Adaptive{kind}Pooling", picture3(pool(2, (4, 5)), L.Conv2D(3, 2), pool(2, 2))
        yield f"Adaptive{kind}Pooling1D", series3(pool(1, 4), L.Conv1D(3, 2))
        yield f"Adaptive{kind}Pooling3D", volume3(pool(3, (3, 2, 4)), L.Conv3D(2, 2))
        yield f"Adaptive{kind}Pooling, channels first", image(
            L.Conv2D(3, 2, activation="tanh"), pool(2, (4, 2), data_format="channels_first"), L.Dense(2), keras=keras3
        )
    films = lambda *layers: image(L.Reshape((3, 3, 8, 2)), L.Dense(3, activation="tanh"), *layers, keras=keras3)
    yield "ConvLSTM1D", image(L.Reshape((4, 6, 6)), L.Dense(3), L.ConvLSTM1D(2, 3, padding="same", strides=2), keras=keras3)
    yield "ConvLSTM2D", films(L.ConvLSTM2D(2, (2, 3), return_sequences=True, go_backwards=True), L.ConvLSTM2D(3, 2, use_bias=False))
    yield "ConvLSTM2D, dilated", films(L.ConvLSTM2D(2, (2, 3), dilation_rate=2, padding="same", recurrent_activation="hard_sigmoid"))
    yield "ConvLSTM2D with dropout", films(L.Dropout(0.1), L.ConvLSTM2D(2, 2, dropout=0.3), L.Dropout(0.2))
    yield "ConvLSTM2D with both dropouts", films(L.ConvLSTM2D(2, 2, dropout=0.3, recurrent_dropout=0.2), L.Dropout(0.2))
    state = L.ConvLSTM2D(2, 2, return_state=True)
    yield "ConvLSTM2D with its state", graph(
        lambda x: L.Concatenate()(state(L.Dense(3)(L.Reshape((3, 3, 8, 2))(x)))), keras=keras3
    )
    yield "ConvLSTM3D", image(L.Reshape((3, 4, 3, 2, 2)), L.Dense(2), L.ConvLSTM3D(2, (2, 2, 1)), keras=keras3)
    # In inference, Keras crops nothing.
    crops = [L.RandomCrop(6, 5), L.Conv2D(3, 2), L.RandomCrop(3, 2), L.Dropout(0.2), L.GlobalAveragePooling2D()]
    yield "RandomCrop", image(*crops, L.Dense(CLASSES, activation="softmax"), keras=keras3, head=False)
    for way in ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"]:
        yield f"Resizing {way}", picture3(L.Resizing(11, 4, interpolation=way), L.Conv2D(2, 2), L.Resizing(5, 7, interpolation=way))
    yield "CenterCrop", picture3(L.CenterCrop(4, 3))
    counts = lambda *layers: image(L.Flatten(), L.Rescaling(3.9), *layers, L.Dense(4, activation="tanh"), keras=keras3)
    edges = [0.4, 1.5, 2.7]
    for mode in ["int", "one_hot", "multi_hot", "count"]:
        yield f"Discretization {mode}", counts(L.Discretization(edges, output_mode=mode))
    for mode in ["one_hot", "multi_hot", "count"]:
        yield f"CategoryEncoding {mode}", counts(L.Discretization(edges), L.CategoryEncoding(4, output_mode=mode))
    yield "CategoryEncoding of one category", counts(
        L.Dense(1), L.Discretization([0.0]), L.CategoryEncoding(2, output_mode="one_hot"), L.Dense(3)
    )


def random_models(count, seed):
    """Models of one or two layers with random settings."""
    draw = random.Random(seed)
    L = keras2.layers
    pick = draw.choice
    few = lambda most=3: draw.randint(1, most)
    pair = lambda most=3: (few(most), few(most))
    padding = lambda: pick(["valid", "same"])
    bias = lambda: {"use_bias": pick([True, False]), "activation": pick(["linear", "relu", "tanh", "selu", "gelu"])}
    normal = lambda: {"center": pick([True, False]), "scale": pick([True, False]), "epsilon": pick([1e-3, 1e-2])}
    on_images = [
        lambda: L.Conv2D(few(4), pair(), strides=pair(2), padding=padding(), **bias()),
        lambda: L.Conv2DTranspose(few(), pair(), strides=pair(2), padding=padding(), **bias()),
        lambda: L.SeparableConv2D(few(), pair(), depth_multiplier=few(2), padding=padding(), **bias()),
        lambda: L.DepthwiseConv2D(pair(), depth_multiplier=few(2), padding=padding(), **bias()),
        lambda: L.MaxPooling2D(pair(), strides=pick([None, pair(2)]), padding=padding()),
        lambda: L.AveragePooling2D(pair(), strides=pick([None, pair(2)]), padding=padding()),
        lambda: L.UpSampling2D(pair(2), interpolation=pick(["nearest", "bilinear"])),
        lambda: L.ZeroPadding2D((pair(2), pair(2))),
        lambda: L.Cropping2D(((draw.randint(0, 1), 1), (1, draw.randint(0, 1)))),
        lambda: L.BatchNormalization(axis=pick([-1, 3, 2, 1]), momentum=pick([0.9, 0.5]), **normal()),
        lambda: L.LayerNormalization(axis=pick([-1, 3, 2, 1, (1, 2), (1, 3), (2, 3), (1, 2, 3)]), **normal()),
        lambda: L.ReLU(pick([None, 0.4]), pick([0, 0.2]), pick([0, 0.1])),
        lambda: L.LeakyReLU(alpha=pick([0.3, 0.01])),
        lambda: L.PReLU(shared_axes=pick([None, [1], [1, 2]])),
        lambda: L.Permute(pick([(1, 3, 2), (3, 1, 2), (2, 1, 3)])),
        lambda: L.Dense(few(5), **bias()),
        lambda: L.Softmax(),
    ]
    on_rows = [
        lambda: L.Conv1D(few(4), few(), strides=few(2), padding=padding(), **bias()),
        lambda: L.MaxPooling1D(few(), strides=pick([None, few(2)]), padding=padding()),
        lambda: L.AveragePooling1D(few(), strides=pick([None, few(2)]), padding=padding()),
        lambda: L.LSTM(few(4), return_sequences=True, go_backwards=pick([True, False]), use_bias=pick([True, False])),
        lambda: L.GRU(few(4), return_sequences=True, reset_after=pick([True, False]), use_bias=pick([True, False])),
        lambda: L.SimpleRNN(few(4), return_sequences=True, activation=pick(["tanh", "relu"])),
        lambda: L.Bidirectional(
            L.LSTM(few(3), return_sequences=True, go_backwards=pick([True, False])), merge_mode=pick(["concat", "ave"])
        ),
        lambda: L.BatchNormalization(axis=pick([-1, 1]), **normal()),
        lambda: L.LayerNormalization(axis=pick([-1, 1, (1, 2)]), **normal()),
        lambda: L.TimeDistributed(L.Dense(few(4))),
        lambda: L.TimeDistributed(L.BatchNormalization()),
        lambda: L.Dense(few(5), **bias()),
        lambda: L.PReLU(),
    ]
    made = 0
    while made < count:
        make, wrap = pick([(on_images, image), (on_rows, rows)])
        layers = [pick(make)() for _ in range(few(3))]
        if draw.random() < 0.25:
            pick(layers).trainable = False
        try:
            model = wrap(*layers)
        except ValueError:
            continue
        made += 1
        yield f"random {made}: " + ", ".join(type(layer).__name__ for layer in layers), model


def add(file):
    """Writes the models that a file lacks at its end."""
    with open(file) as opened:
        text = opened.read()
    known = {model["name"] for model in json.loads(text)["models"]}
    added = [record(name, keras2, model) for name, model in kinds() if name not in known]
    added += [record(name, keras3, model) for name, model in kinds3() if name not in known]
    lines = "".join(",\n" + json.dumps(each, separators=(",", ":")) for each in added)
    with open(file, "w") as opened:
        opened.write(text.removesuffix("\n]}\n") + lines + "\n]}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--add", help="file to which to add the models that it lacks")
    parser.add_argument("--only", help="print only models of Keras 3 whose name contains this")
    options = parser.parse_args()
    if options.random > 0:
        records = [record(name, keras2, model) for name, model in random_models(options.random, options.seed)]
    elif options.add is not None:
        add(options.add)
        return
    elif options.only is not None:
        records = [record(name, keras3, model) for name, model in kinds3() if options.only in name]
    else:
        records = [record(name, keras2, model, whole=name == "Conv2D same") for name, model in kinds()]
        records += [record(name, keras3, model, whole="functional" in name) for name, model in kinds3()]
    versions = {
        "tf_keras": keras2.__version__,
        "keras": keras3.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    line = lambda value: json.dumps(value, separators=(",", ":"))
    head = {"madeBy": "test/reference/keras_models.py", "versions": versions}
    head |= {"sampleShape": SHAPE, "samples": SAMPLES, "classes": CLASSES}
    lines = ",\n".join(line(each) for each in records)
    sys.stdout.write(line(head)[:-1] + ',"models":[\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
