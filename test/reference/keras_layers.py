"""Computes one training step of small models, each around one kind of layer, as reference figures for another implementation.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0
    python test/reference/keras_layers.py > test/reference/keras-layers.json

tf_keras is Keras 2, whose topologies tfjs-layers reads. Each case has

- `topology`: what to_json() gives for the model with float32, without initializers;
- `weights`: its float32 tensors one after the other, first the trained ones in the order of the layers, then the others;
- `images` (bytes; the model sees them divided by 255) and `labels`;
- `loss`: sum over the samples of the categorical cross-entropy;
- `gradient`: in the order of the weights, the gradient summed over the samples; for a tensor that is not trained, the number
  of samples times its change in the step's forward pass with training=True;
- `float32Error`: error of Keras' own float32 gradient in the worst trained tensor, relative to the larger of the tensor's norm
  and a hundredth of the whole gradient's norm.

Running variances are those of the rows themselves, as in Keras 3. Keras 2 computes the same in float64, but in float32 with four
axes its kernel estimates the variance of the population.

Arrays are little-endian and in base64: bytes as uint8, all others as float32. Loss and gradient are computed in float64 by
a model with the same weights, then rounded. If TensorFlow has no float64, they are computed in float32, and float32Error is 0.
"""

import base64
import json
import os
import platform
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
import tf_keras as keras

L = keras.layers
SAMPLES = 6
# A case with long sums, which has more samples than the others.
MANY = "BatchNormalization of many values"
MANY_SAMPLES = 48
CLASSES = 3


def stack(shape, *layers):
    """Sequential model that ends in a softmax."""

    def build():
        model = [L.InputLayer(shape)] + [layer() for layer in layers]
        return keras.Sequential(model + [L.Flatten(), L.Dense(CLASSES, activation="softmax")])

    return build


def frozen(layer):
    def build():
        made = layer()
        made.trainable = False
        return made

    return build


def nested(trainable=True, training=None):
    """Model that contains another model, with batch normalization."""

    def build():
        inner = keras.Sequential(
            [L.InputLayer((5, 4, 2)), L.Conv2D(3, 2), L.BatchNormalization(), L.Activation("tanh")], name="inner"
        )
        inner.trainable = trainable
        x = keras.Input((5, 4, 2))
        y = inner(x) if training is None else inner(x, training=training)
        y = L.Dense(CLASSES, activation="softmax")(L.Flatten()(y))
        return keras.Model(x, y)

    return build


def conv(filters=3, size=2, **kw):
    return lambda: L.Conv2D(filters, size, **kw)


def layer(name, *args, **kw):
    return lambda: getattr(L, name)(*args, **kw)


def cases():
    image, row, volume = (5, 4, 2), (7, 3), (3, 4, 5, 2)
    head = conv()
    windows = [(2, 2), (3, 1), (3, 2), ((2, 3), (1, 2)), ((3, 2), (2, 3)), (5, 1), (7, 2), (9, 9), (1, 2), (2, 1), (2, 3)]
    for pool, strides in windows:
        name = f"{pool} by {strides}".replace("(", "").replace(")", "").replace(", ", "x")
        for kind in ["Average", "Max"]:
            made = layer(f"{kind}Pooling2D", pool, strides=strides, padding="same")
            yield f"{kind}Pooling2D same, {name}", stack((6, 5, 2), head, made)
    yield "AveragePooling2D valid", stack((6, 5, 2), head, layer("AveragePooling2D", 3, strides=1))
    for pool, strides in [(2, 2), (3, 1), (3, 2), (9, 4)]:
        made = layer("AveragePooling1D", pool, strides=strides, padding="same")
        yield f"AveragePooling1D same, {pool} by {strides}", stack(row, layer("Conv1D", 3, 2), made)
        made = layer("MaxPooling1D", pool, strides=strides, padding="same")
        yield f"MaxPooling1D same, {pool} by {strides}", stack(row, layer("Conv1D", 3, 2), made)
    for padding in ["same", "valid"]:
        for kind in ["Average", "Max"]:
            made = layer(f"{kind}Pooling3D", (2, 3, 3), strides=(1, 2, 1), padding=padding)
            yield f"{kind}Pooling3D {padding}", stack(volume, layer("Conv3D", 2, 1), made)
    yield "GlobalAveragePooling2D", stack(image, head, layer("GlobalAveragePooling2D"))
    yield "GlobalMaxPooling2D", stack(image, head, layer("GlobalMaxPooling2D"))

    relus = [
        {},
        {"negative_slope": 0.2},
        {"threshold": 0.1},
        {"max_value": 0.25},
        {"negative_slope": 0.2, "threshold": 0.1},
        {"negative_slope": 0.3, "max_value": 0.25},
        {"threshold": 0.1, "max_value": 0.25},
        {"negative_slope": 0.2, "threshold": 0.05, "max_value": 0.3},
    ]
    for args in relus:
        yield f"ReLU {json.dumps(args)}", stack(image, head, layer("ReLU", **args))
    yield "LeakyReLU", stack(image, head, layer("LeakyReLU"))
    yield "LeakyReLU 0.1", stack(image, head, layer("LeakyReLU", alpha=0.1))
    yield "ThresholdedReLU 0.1", stack(image, head, layer("ThresholdedReLU", theta=0.1))
    yield "PReLU", stack(image, head, layer("PReLU"))
    yield "PReLU shared", stack(image, head, layer("PReLU", shared_axes=[1, 2]))
    yield "ELU", stack(image, head, layer("ELU"))
    for name in ["relu", "relu6", "elu", "selu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid", "swish", "gelu"]:
        yield f"activation {name}", stack(image, conv(activation=name))
    yield "activation softmax", stack(image, conv(activation="softmax"))

    for size in [(2, 2), (3, 2), (1, 4)]:
        for way in ["nearest", "bilinear"]:
            made = layer("UpSampling2D", size, interpolation=way)
            yield f"UpSampling2D {way} {size[0]} x {size[1]}", stack(image, head, made, conv(2, 3))
    yield "UpSampling2D bilinear of one row", stack((1, 3, 2), layer("UpSampling2D", (2, 2), interpolation="bilinear"), conv(2, 2))


    yield "frozen Conv2D", stack(image, frozen(conv(3, 2, activation="relu")), conv(2, 2, activation="tanh"))
    yield "frozen Conv2D in the middle", stack(image, head, frozen(conv(3, 2, activation="relu")), conv(2, 2))
    yield "frozen Dense at the end", frozen_end
    yield "frozen BatchNormalization", stack(image, head, frozen(layer("BatchNormalization")))
    yield "frozen and trained BatchNormalization", stack(
        image, frozen(layer("BatchNormalization")), head, layer("BatchNormalization"), layer("Activation", "relu")
    )
    yield "frozen PReLU and LayerNormalization", stack(
        image, head, frozen(layer("PReLU")), frozen(layer("LayerNormalization")), conv(2, 1)
    )
    yield "frozen LSTM", stack(row, frozen(layer("LSTM", 3, return_sequences=True)), layer("LSTM", 2))
    yield "frozen Bidirectional", stack(row, frozen(layer_bidirectional), layer("Dense", 2))
    yield "frozen TimeDistributed", stack(row, frozen(time_distributed("Dense", 3)), layer("Dense", 2))
    yield "nested model", nested()
    yield "frozen nested model", nested(trainable=False)
    yield "nested model called with training=False", nested(training=False)

    for args in [{}, {"center": False}, {"scale": False}, {"center": False, "scale": False}, {"momentum": 0.7, "epsilon": 0.01}]:
        text = json.dumps(args)
        yield f"BatchNormalization {text}", stack(image, head, layer("BatchNormalization", **args), layer("ReLU"))
        yield f"BatchNormalization {text} of rows", stack((5,), layer("Dense", 4), layer("BatchNormalization", **args))
        yield f"BatchNormalization {text} of sequences", stack(row, layer("BatchNormalization", **args))
        yield f"BatchNormalization {text} over axis 1", stack(image, head, layer("BatchNormalization", axis=1, **args))
    for args in [{}, {"center": False}, {"scale": False}, {"center": False, "scale": False}, {"epsilon": 0.01}]:
        text = json.dumps(args)
        yield f"LayerNormalization {text}", stack(image, head, layer("LayerNormalization", **args), layer("ReLU"))
        yield f"LayerNormalization {text} of rows", stack((5,), layer("Dense", 4), layer("LayerNormalization", **args))
        yield f"LayerNormalization {text} over all axes", stack(image, head, layer("LayerNormalization", axis=[1, 2, 3], **args))
        yield f"LayerNormalization {text} over axis 1", stack(image, head, layer("LayerNormalization", axis=1, **args))
        yield f"LayerNormalization {text} over axes 1 and 2", stack(
            image, head, layer("LayerNormalization", axis=[1, 2], **args)
        )

    yield MANY, stack(
        (28, 28, 1),
        conv(8, 3, activation="relu"),
        layer("BatchNormalization"),
        conv(8, 3),
        layer("BatchNormalization"),
        layer("ReLU"),
        layer("GlobalAveragePooling2D"),
        layer("Dense", 8),
        layer("BatchNormalization"),
    )

    for name in ["LSTM", "SimpleRNN"]:
        yield name, stack(row, layer(name, 3))
        yield f"{name} with sequences, backwards", stack(row, layer(name, 3, return_sequences=True, go_backwards=True))
        yield f"Bidirectional {name}", stack(row, lambda name=name: L.Bidirectional(getattr(L, name)(2)))
    yield "LSTM without forget bias", stack(row, layer("LSTM", 3, unit_forget_bias=False))
    for after in [False, True]:
        yield f"GRU, reset_after {after}", stack(row, layer("GRU", 3, reset_after=after))
        yield f"GRU, reset_after {after}, no bias", stack(row, layer("GRU", 3, reset_after=after, use_bias=False))
        yield f"Bidirectional GRU, reset_after {after}", stack(
            row, lambda after=after: L.Bidirectional(L.GRU(2, reset_after=after, return_sequences=True))
        )
    yield "TimeDistributed Dense", stack(row, time_distributed("Dense", 3, activation="tanh"))
    yield "TimeDistributed Conv2D", stack((3, 4, 4, 2), time_distributed("Conv2D", 3, 2))
    yield "TimeDistributed BatchNormalization", stack(row, layer("Dense", 3), time_distributed("BatchNormalization"))
    yield "frozen TimeDistributed BatchNormalization", stack(
        row, layer("Dense", 3), frozen(time_distributed("BatchNormalization"))
    )

    yield "Conv2D same, strides 2", stack(image, conv(3, 3, padding="same", strides=2))
    yield "Conv2D one row", stack((1, 6, 2), conv(4, (1, 3), activation="relu"))
    yield "Conv2D one column", stack((6, 1, 2), conv(4, (3, 1), activation="relu"))
    yield "Conv2D as large as the image", stack(image, conv(4, (5, 4), activation="relu"))
    yield "Conv2DTranspose", stack(image, layer("Conv2DTranspose", 3, 3, strides=2, padding="same"))
    yield "DepthwiseConv2D", stack(image, layer("DepthwiseConv2D", 2, depth_multiplier=2))
    yield "Conv1D", stack(row, layer("Conv1D", 4, 3, padding="same", strides=2))
    yield "Conv3D", stack(volume, layer("Conv3D", 3, 2, padding="same"))
    yield "ZeroPadding2D and Cropping2D", stack(image, head, layer("ZeroPadding2D", ((1, 2), (0, 3))), layer("Cropping2D", 1))
    yield "Embedding", embedding
    for padding in ["same", "valid"]:
        yield f"Conv2D {padding}, dilated", stack((7, 6, 2), conv(4, 3, padding=padding, dilation_rate=2), conv(3, 2))
        made = conv(3, 2, padding=padding, dilation_rate=(3, 2))
        yield f"Conv2D {padding}, dilated by 3 and 2", stack((7, 6, 2), conv(4, 2), made)
        made = layer("Conv1D", 4, 3, padding=padding, dilation_rate=2)
        yield f"Conv1D {padding}, dilated", stack(row, layer("Conv1D", 3, 1), made)
    yield "Conv1D causal", stack(row, layer("Conv1D", 3, 2), layer("Conv1D", 4, 3, padding="causal", activation="relu"))
    yield "Conv1D causal, strides 2", stack(row, layer("Conv1D", 4, 3, padding="causal", strides=2))
    made = layer("Conv1D", 4, 3, padding="causal", dilation_rate=2)
    yield "Conv1D causal, dilated", stack((9, 3), layer("Conv1D", 3, 2), made)
    for kind in ["Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]:
        yield kind, merged(kind)
    yield "Dot", merged("Dot", axes=1)
    yield "Concatenate over axis 1", merged("Concatenate", axis=1)
    yield "Permute, Reshape and RepeatVector", stack(
        row, layer("Permute", (2, 1)), layer("Reshape", (21,)), layer("Dense", 3), layer("RepeatVector", 4), layer("SimpleRNN", 2)
    )
    for kind in ["Average", "Max"]:
        yield f"Global{kind}Pooling1D", stack(row, layer("Conv1D", 3, 2), layer(f"Global{kind}Pooling1D"))
    yield "TimeDistributed of a model", time_distributed_model()
    yield "SeparableConv2D", separable


def frozen_end():
    end = L.Dense(CLASSES, activation="softmax")
    end.trainable = False
    return keras.Sequential([L.InputLayer((5, 4, 2)), L.Conv2D(3, 2, activation="tanh"), L.Flatten(), end])


def layer_bidirectional():
    return L.Bidirectional(L.LSTM(2, return_sequences=True))


def time_distributed(name, *args, **kw):
    return lambda: L.TimeDistributed(getattr(L, name)(*args, **kw))


def time_distributed_model():
    def inner():
        model = [L.InputLayer((4, 4, 2)), L.Conv2D(3, 2), L.LayerNormalization(), L.Flatten()]
        return L.TimeDistributed(keras.Sequential(model))

    return stack((3, 4, 4, 2), inner)


def merged(kind, **kw):
    def build():
        x = keras.Input((5, 4))
        both = [L.Conv1D(3, 2, activation="tanh")(x), L.Conv1D(3, 2, activation="relu")(x)]
        y = L.Flatten()(getattr(L, kind)(**kw)(both))
        return keras.Model(x, L.Dense(CLASSES, activation="softmax")(y))

    return build


def separable():
    return stack((5, 4, 2), conv(), layer("SeparableConv2D", 4, 2, activation="relu"))()


def embedding():
    # Inputs lie within 0 .. 1: two rows of the table.
    return keras.Sequential(
        [L.InputLayer((6,)), L.Embedding(4, 3), L.Flatten(), L.Dense(CLASSES, activation="softmax")]
    )


def weights_of(model, random):
    """Weights in the order of the figures. Scales and variances are positive."""
    values = []
    for w in model.trainable_weights + model.non_trainable_weights:
        positive = any(part in w.name for part in ["gamma", "variance"])
        value = random.uniform(0.5, 1.5, w.shape) if positive else random.uniform(-0.8, 0.8, w.shape)
        values.append(value.astype(np.float32))
    return values


def step(build, floatx, values, images, labels):
    """Model, loss and gradient, computed in `floatx`."""
    keras.backend.set_floatx(floatx)
    keras.backend.clear_session()
    model = build()
    weights = model.trainable_weights + model.non_trainable_weights
    if values is None:
        return model, None, None
    for w, value in zip(weights, values):
        w.assign(value.astype(floatx))
    x = tf.constant(images.astype(floatx) / np.asarray(255, floatx))
    target = tf.one_hot(labels, CLASSES, dtype=floatx)
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        # Computed from the logits behind the softmax, like Keras' own loss.
        loss = tf.reduce_sum(keras.losses.categorical_crossentropy(target, outputs))
    gradients = tape.gradient(loss, model.trainable_weights, unconnected_gradients="zero")
    parts = [tf.convert_to_tensor(g).numpy() for g in gradients]
    for w, value in zip(model.non_trainable_weights, values[len(parts) :]):
        parts.append(len(images) * (w.numpy().astype(np.float64) - value.astype(floatx).astype(np.float64)))
    flat = np.concatenate([np.asarray(part, np.float64).reshape(-1) for part in parts])
    return model, float(loss), flat


def worst_error(found, wanted, sizes):
    min_norm = np.linalg.norm(wanted) / 100
    worst, at = 0, 0
    for size in sizes:
        part = wanted[at : at + size]
        error = np.linalg.norm(found[at : at + size] - part)
        worst, at = max(worst, error / max(np.linalg.norm(part), min_norm)), at + size
    return worst


def base64_of(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def compact(value):
    """Topology without irrelevant keys: initializers, since the weights are stored, and settings that are off."""
    if isinstance(value, list):
        return [compact(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = ["module", "registered_name", "build_config", "optional", "sparse", "ragged"]
    return {
        key: compact(item)
        for key, item in value.items()
        if not key.endswith(("_initializer", "_regularizer", "_constraint")) and key not in left_out
    }


def case_of(name, build, number):
    random = np.random.default_rng(1000 + number)
    model, _, _ = step(build, "float32", None, None, None)
    topology = json.loads(model.to_json())
    values = weights_of(model, random)
    shape = tuple(model.input_shape[1:])
    samples = MANY_SAMPLES if name == MANY else SAMPLES
    images = random.integers(0, 256, (samples, *shape), dtype=np.uint8)
    labels = random.integers(0, CLASSES, samples, dtype=np.uint8)
    if name == "Embedding":
        images = np.where(images < 128, 0, 255).astype(np.uint8)
    _, single_loss, single = step(build, "float32", values, images, labels)
    try:
        _, loss, gradient = step(build, "float64", values, images, labels)
    except (TypeError, tf.errors.NotFoundError):
        # TensorFlow's three-dimensional pooling has float32 only.
        loss, gradient = single_loss, single
    if name.startswith("AveragePooling2D"):
        # In float64 its gradient is wrong if a window reaches beyond both edges, as finite differences show.
        gradient = single
    error = worst_error(single, gradient, [w.shape.num_elements() for w in model.trainable_weights])
    return {
        "name": name,
        "topology": compact({"class_name": topology["class_name"], "config": topology["config"]}),
        "sampleShape": list(shape),
        "weights": base64_of(np.concatenate([v.reshape(-1) for v in values])),
        "images": base64_of(images),
        "labels": labels.tolist(),
        "loss": float(f"{loss:.9g}"),
        "gradient": base64_of(gradient.astype(np.float32)),
        "float32Error": float(f"{error:.2g}"),
    }


def main():
    rows = []
    for number, (name, build) in enumerate(cases()):
        print(name, file=sys.stderr)
        rows.append(json.dumps(case_of(name, build, number), separators=(",", ":")))
    versions = {
        "tf_keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    head = f'"madeBy": "test/reference/keras_layers.py",\n"versions": {json.dumps(versions)},\n"classes": {CLASSES},\n'
    sys.stdout.write("{\n" + head + '"cases": [\n' + ",\n".join(rows) + "\n]\n}\n")


if __name__ == "__main__":
    main()
