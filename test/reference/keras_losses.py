"""Writes keras-losses.json: values of Keras' losses and metrics in float64, and gradients of a small model in float32.

    python test/reference/keras_losses.py          (Keras 3.15 with TensorFlow 2.21)

cases: target and output, and the mean loss (reduction sum_over_batch_size) or the metric's value, with and without weights.
gradients: loss and gradient of a dense layer with the given activation, whose weights and samples are in the file.
runs: three models trained for 20 steps of plain SGD, with the losses of the steps.
"""

import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras
import numpy as np
import tensorflow as tf

random = np.random.default_rng(7)
rounded = lambda values: np.round(np.asarray(values, np.float64), 6)
listed = lambda values: np.asarray(values).ravel().tolist()

N = 6
WEIGHTS = [1.0, 0.5, 2.0, 0.0, 1.25, 3.0]


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


LOGITS = rounded(random.normal(size=(N, 4)) * 3)
SEQUENCE = rounded(random.normal(size=(N, 3, 4)) * 2)
# Values beyond Keras' epsilon are clipped.
PROBABILITIES = rounded(softmax(LOGITS))
PROBABILITIES[0] = [0, 1, 0, 0]
SIGMOIDS = rounded(sigmoid(LOGITS))
SIGMOIDS[1] = [0, 1, 1, 0]
REALS = rounded(random.normal(size=(N, 4)))
TARGETS = rounded(REALS + random.normal(size=(N, 4)))
TARGETS[2] = REALS[2]
CLASSES = np.array([0, 1, 2, 3, 1, 2])
ONE_HOT = np.eye(4)[CLASSES]
SEQUENCE_CLASSES = random.integers(0, 4, (N, 3))
BITS = random.integers(0, 2, (N, 4))
DISTRIBUTION = rounded(softmax(random.normal(size=(N, 4))))

snake = {"from_logits": "fromLogits", "label_smoothing": "labelSmoothing", "apply_class_balancing": "applyClassBalancing",
         "num_thresholds": "thresholds", "summation_method": "summation", "class_aggregation": "classAggregation",
         "num_classes": "numClasses", "target_class_ids": "targetClassIds", "ignore_class": "ignoreClass",
         "sparse_y_true": "sparseYTrue", "sparse_y_pred": "sparseYPred"}


def loss_class(name):
    cls = "".join(part.capitalize() for part in name.split("_"))
    return {"KlDivergence": "KLDivergence"}.get(cls, cls)


def loss_case(name, target, output, **options):
    cls = loss_class(name)
    loss = getattr(keras.losses, cls)(**options)
    # The weights of samples with several rows need another axis.
    weights = np.array(WEIGHTS).reshape((N,) + (1,) * (output.ndim - 2))
    values = [float(loss(target, output, sample_weight=weight)) for weight in (None, weights)]
    ours = {snake.get(key, key): value for key, value in options.items()}
    return {"loss": {"name": name, **ours}, "targetShape": list(target.shape[1:]), "target": listed(target),
            "outputShape": list(output.shape[1:]), "output": listed(output), "value": values[0], "weighted": values[1]}


def metric_case(name, target, output, cls=None, **options):
    cls = cls or "".join(part.capitalize() for part in name.split("_"))
    extra = {"average": "macro"} if name in ("f1_score", "fbeta_score") else {}
    values = []
    # TensorFlow has no float64 kernel for the largest k.
    dtype = np.float32 if "top_k" in name else np.float64
    keras.backend.set_floatx(np.dtype(dtype).name)
    output = output.astype(dtype)
    for weights in (None, np.array(WEIGHTS, dtype)):
        metric = getattr(keras.metrics, cls)(**{**extra, **options})
        # In two parts: sums add up.
        for part in (slice(0, 2), slice(2, N)):
            own = None if weights is None else weights[part]
            if own is not None and name.endswith("io_u"):
                # These metrics take a weight for each class, not for each sample.
                each = "one_hot" in name or options.get("sparse_y_pred") is False
                own = own.repeat(output[0].size // (output.shape[-1] if each else 1))
            metric.update_state(target[part], output[part], sample_weight=own)
        values.append(float(metric.result()))
    keras.backend.set_floatx("float64")
    ours = {snake.get(key, key): value for key, value in options.items()}
    if "thresholds" in options:
        ours = {"threshold": options["thresholds"]}
    return {"metric": {"name": name, **ours}, "targetShape": list(target.shape[1:]), "target": listed(target),
            "outputShape": list(output.shape[1:]), "output": listed(output), "value": values[0], "weighted": values[1]}


keras.backend.set_floatx("float64")
cases = []
for smoothing in (0.0, 0.1):
    options = {"label_smoothing": smoothing} if smoothing else {}
    for logits, output in ((True, LOGITS), (False, PROBABILITIES)):
        flags = {"from_logits": True} if logits else {}
        cases.append(loss_case("categorical_crossentropy", ONE_HOT, output, **flags, **options))
        cases.append(loss_case("categorical_crossentropy", DISTRIBUTION, output, **flags, **options))
    for logits, output in ((True, LOGITS), (False, SIGMOIDS)):
        flags = {"from_logits": True} if logits else {}
        cases.append(loss_case("binary_crossentropy", BITS, output, **flags, **options))
        cases.append(loss_case("binary_focal_crossentropy", BITS, output, **flags, **options))
cases.append(loss_case("binary_focal_crossentropy", BITS, SIGMOIDS, apply_class_balancing=True, alpha=0.3, gamma=1.5))
cases.append(loss_case("binary_crossentropy", BITS[:, :1], SIGMOIDS[:, :1]))
for target, output in ((CLASSES, LOGITS), (SEQUENCE_CLASSES, SEQUENCE)):
    cases.append(loss_case("sparse_categorical_crossentropy", target, output, from_logits=True))
    cases.append(loss_case("sparse_categorical_crossentropy", target, rounded(softmax(output))))
cases.append(loss_case("categorical_crossentropy", np.eye(4)[SEQUENCE_CLASSES], SEQUENCE, from_logits=True))
for name in ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
             "huber", "log_cosh", "cosine_similarity"):
    cases.append(loss_case(name, TARGETS, REALS))
cases.append(loss_case("huber", TARGETS, REALS, delta=0.3))
cases.append(loss_case("mean_squared_error", TARGETS[:, None, :].repeat(3, 1), SEQUENCE))
cases.append(loss_case("mean_absolute_error", TARGETS[:, :1], REALS[:, :1]))
for name in ("hinge", "squared_hinge"):
    cases.append(loss_case(name, BITS, REALS))
    cases.append(loss_case(name, 2 * BITS - 1, REALS))
cases.append(loss_case("categorical_hinge", ONE_HOT, REALS))
cases.append(loss_case("poisson", np.abs(TARGETS), np.abs(REALS)))
cases.append(loss_case("kl_divergence", DISTRIBUTION, PROBABILITIES))
for options in ({}, {"alpha": 0.6, "gamma": 1.5, "label_smoothing": 0.1}):
    for target in (ONE_HOT, DISTRIBUTION):
        cases.append(loss_case("categorical_focal_crossentropy", target, LOGITS, from_logits=True, **options))
        cases.append(loss_case("categorical_focal_crossentropy", target, PROBABILITIES, **options))
cases.append(loss_case("categorical_focal_crossentropy", np.eye(4)[SEQUENCE_CLASSES], SEQUENCE, from_logits=True))
for options in ({}, {"q": 0.9}):
    cases.append(loss_case("categorical_generalized_cross_entropy", CLASSES, PROBABILITIES, **options))
cases.append(loss_case("categorical_generalized_cross_entropy", SEQUENCE_CLASSES, rounded(softmax(SEQUENCE))))

metrics = [
    metric_case("categorical_accuracy", ONE_HOT, PROBABILITIES),
    metric_case("sparse_categorical_accuracy", CLASSES, PROBABILITIES),
    metric_case("sparse_categorical_accuracy", SEQUENCE_CLASSES, SEQUENCE),
    metric_case("binary_accuracy", BITS, SIGMOIDS),
    metric_case("binary_accuracy", BITS, SIGMOIDS, threshold=0.3),
    metric_case("top_k_categorical_accuracy", ONE_HOT, PROBABILITIES, cls="TopKCategoricalAccuracy", k=2),
    metric_case("sparse_top_k_categorical_accuracy", CLASSES, PROBABILITIES, cls="SparseTopKCategoricalAccuracy", k=2),
    metric_case("root_mean_squared_error", TARGETS, REALS),
    metric_case("cosine_similarity", TARGETS, REALS),
    metric_case("f1_score", ONE_HOT, PROBABILITIES),
]
for name in ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"):
    metrics.append(metric_case(name, TARGETS, REALS))
metrics.append(metric_case("log_cosh", TARGETS, REALS, cls="LogCoshError"))
for name in ("hinge", "squared_hinge"):
    metrics.append(metric_case(name, BITS, REALS))
metrics.append(metric_case("categorical_hinge", ONE_HOT, REALS))
metrics.append(metric_case("poisson", np.abs(TARGETS), np.abs(REALS)))
metrics.append(metric_case("kl_divergence", DISTRIBUTION, PROBABILITIES, cls="KLDivergence"))
metrics.append(metric_case("categorical_crossentropy", ONE_HOT, PROBABILITIES, label_smoothing=0.1))
metrics.append(metric_case("sparse_categorical_crossentropy", CLASSES, LOGITS, from_logits=True))
metrics.append(metric_case("binary_crossentropy", BITS, SIGMOIDS))
for average in ("micro", "macro", "weighted"):
    for threshold in (None, 0.4):
        options = {"average": average, **({} if threshold is None else {"threshold": threshold})}
        metrics.append(metric_case("f1_score", BITS, SIGMOIDS, **options))
for name in ("precision", "recall", "true_positives", "false_positives", "true_negatives", "false_negatives"):
    metrics.append(metric_case(name, BITS, SIGMOIDS))
    metrics.append(metric_case(name, BITS, SIGMOIDS, thresholds=0.7))
for curve in ("ROC", "PR"):
    for summation in ("interpolation", "minoring", "majoring"):
        metrics.append(metric_case("auc", BITS, SIGMOIDS, cls="AUC", curve=curve, summation_method=summation))
metrics.append(metric_case("auc", BITS, SIGMOIDS, cls="AUC", num_thresholds=10))
for average in ("micro", "macro", "weighted"):
    metrics.append(metric_case("fbeta_score", BITS, SIGMOIDS, cls="FBetaScore", average=average, beta=2.0, threshold=0.4))
    metrics.append(metric_case("fbeta_score", ONE_HOT, PROBABILITIES, cls="FBetaScore", average=average, beta=0.5))
# The second class of NONE_OF_ONE has no sample.
NONE_OF_ONE = BITS.copy()
NONE_OF_ONE[:, 1] = 0
metrics.append(metric_case("fbeta_score", NONE_OF_ONE, SIGMOIDS, cls="FBetaScore", average="macro", beta=2.0, threshold=0.4))
for level in (0.0, 0.3, 0.5, 0.8, 1.0):
    for name in ("precision_at_recall", "recall_at_precision", "sensitivity_at_specificity", "specificity_at_sensitivity"):
        metrics.append(metric_case(name, BITS, SIGMOIDS, **{name.split("_")[-1]: level}))
for name in ("precision_at_recall", "recall_at_precision", "sensitivity_at_specificity", "specificity_at_sensitivity"):
    option = name.split("_")[-1]
    metrics.append(metric_case(name, BITS, SIGMOIDS, num_thresholds=7, **{option: 0.6}))
    # Rates of no outputs are 0.
    metrics.append(metric_case(name, 0 * BITS, SIGMOIDS, **{option: 0.5}))
    metrics.append(metric_case(name, 0 * BITS + 1, SIGMOIDS, **{option: 0.5}))
CONSTANT = TARGETS.copy()
CONSTANT[:, 2] = 1
for target in (TARGETS, CONSTANT):
    for aggregation in ("uniform_average", "variance_weighted_average"):
        metrics.append(metric_case("r2_score", target, REALS, class_aggregation=aggregation))
metrics.append(metric_case("r2_score", TARGETS[:, :1], REALS[:, :1]))
for name in ("pearson_correlation", "concordance_correlation"):
    metrics.append(metric_case(name, TARGETS, REALS))
    metrics.append(metric_case(name, DISTRIBUTION, PROBABILITIES))
for options in ({}, {"target_class_ids": [1], "threshold": 0.3}, {"target_class_ids": [0]}):
    metrics.append(metric_case("binary_io_u", BITS, SIGMOIDS, cls="BinaryIoU", **options))
metrics.append(metric_case("binary_io_u", 0 * BITS, 0 * SIGMOIDS, cls="BinaryIoU"))
metrics.append(metric_case("binary_io_u", 0 * BITS, 0 * SIGMOIDS, cls="BinaryIoU", target_class_ids=[1]))
# Values between classes and beyond them.
LABELS = np.array([[0, 1], [1, 2], [2, 2], [1, 0], [3, 1], [5, 1]])
GUESSES = np.array([[0.2, 1.9], [-0.4, 2], [2, 1], [-1, 0.5], [3, 1], [1, 4.5]])
for options in ({"num_classes": 4}, {"num_classes": 3}, {"num_classes": 6, "ignore_class": 1}):
    metrics.append(metric_case("mean_io_u", LABELS, GUESSES, cls="MeanIoU", **options))
    metrics.append(metric_case("io_u", LABELS, GUESSES, cls="IoU", target_class_ids=[2, 0], **options))
for options in ({"num_classes": 4}, {"num_classes": 5}, {"num_classes": 3}, {"num_classes": 4, "ignore_class": 2}):
    for target, output in ((ONE_HOT, LOGITS), (np.eye(4)[SEQUENCE_CLASSES], SEQUENCE)):
        metrics.append(metric_case("one_hot_mean_io_u", target, output, cls="OneHotMeanIoU", **options))
        metrics.append(metric_case("one_hot_io_u", target, output, cls="OneHotIoU", target_class_ids=[2, 0], **options))
    metrics.append(metric_case("mean_io_u", ONE_HOT, LOGITS, cls="MeanIoU", sparse_y_true=False, sparse_y_pred=False, **options))
    for target, output in ((CLASSES, LOGITS), (SEQUENCE_CLASSES, SEQUENCE)):
        metrics.append(metric_case("mean_io_u", target, output, cls="MeanIoU", sparse_y_pred=False, **options))
        metrics.append(metric_case("io_u", target, output, cls="IoU", sparse_y_pred=False, target_class_ids=[1, 2], **options))

keras.backend.set_floatx("float32")
INPUTS = rounded(random.normal(size=(N, 5))).astype(np.float32)
KERNEL = rounded(random.normal(size=(5, 4)) * 0.5).astype(np.float32)
BIAS = rounded(random.normal(size=4) * 0.1).astype(np.float32)


def gradient_case(case, activation, target, weighted):
    layer = keras.layers.Dense(4, activation=activation)
    model = keras.Sequential([keras.Input((5,)), layer])
    layer.set_weights([KERNEL, BIAS])
    cls = loss_class(case["name"])
    options = {key: case[ours] for key, ours in snake.items() if ours in case}
    options.update({key: case[key] for key in ("delta", "alpha", "gamma", "q") if key in case})
    loss = getattr(keras.losses, cls)(**options)
    weights = np.array(WEIGHTS, np.float32) if weighted else None

    # In a graph, as fit() computes it.
    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = N * loss(target, model(INPUTS, training=True), sample_weight=weights)
        return value, tape.gradient(value, model.trainable_variables)

    value, gradient = step()
    return {"loss": case, "activation": activation, "targetShape": list(target.shape[1:]), "target": listed(target),
            "isClass": bool(target.dtype == np.int64 and target.ndim == 1), "weighted": weighted, "value": float(value),
            "gradient": [float(v) for g in gradient for v in np.asarray(g).ravel()]}


f32 = np.float32
GRADIENTS = [
    ({"name": "sparse_categorical_crossentropy"}, "softmax", CLASSES),
    ({"name": "sparse_categorical_crossentropy"}, "sigmoid", CLASSES),
    ({"name": "sparse_categorical_crossentropy", "fromLogits": True}, "linear", CLASSES),
    ({"name": "categorical_crossentropy"}, "softmax", DISTRIBUTION.astype(f32)),
    ({"name": "categorical_crossentropy"}, "sigmoid", ONE_HOT.astype(f32)),
    ({"name": "categorical_crossentropy", "fromLogits": True, "labelSmoothing": 0.1}, "linear", ONE_HOT.astype(f32)),
    ({"name": "binary_crossentropy"}, "sigmoid", BITS.astype(f32)),
    ({"name": "binary_crossentropy", "labelSmoothing": 0.2}, "sigmoid", BITS.astype(f32)),
    ({"name": "binary_crossentropy"}, "softmax", BITS.astype(f32)),
    ({"name": "binary_crossentropy", "fromLogits": True}, "linear", BITS.astype(f32)),
    ({"name": "binary_focal_crossentropy"}, "sigmoid", BITS.astype(f32)),
    ({"name": "binary_focal_crossentropy", "fromLogits": True, "gamma": 1.5, "alpha": 0.3, "applyClassBalancing": True}, "linear",
     BITS.astype(f32)),
    ({"name": "mean_squared_error"}, "linear", TARGETS.astype(f32)),
    ({"name": "mean_absolute_error"}, "linear", TARGETS.astype(f32)),
    ({"name": "mean_absolute_percentage_error"}, "linear", TARGETS.astype(f32)),
    ({"name": "mean_squared_logarithmic_error"}, "linear", TARGETS.astype(f32)),
    ({"name": "huber"}, "linear", TARGETS.astype(f32)),
    ({"name": "huber", "delta": 0.3}, "linear", TARGETS.astype(f32)),
    ({"name": "log_cosh"}, "linear", TARGETS.astype(f32)),
    ({"name": "hinge"}, "linear", BITS.astype(f32)),
    ({"name": "squared_hinge"}, "tanh", (2 * BITS - 1).astype(f32)),
    ({"name": "categorical_hinge"}, "linear", ONE_HOT.astype(f32)),
    # With outputs that are equally large.
    ({"name": "categorical_hinge"}, "relu", ONE_HOT.astype(f32)),
    ({"name": "poisson"}, "softplus", np.abs(TARGETS).astype(f32)),
    ({"name": "kl_divergence"}, "softmax", DISTRIBUTION.astype(f32)),
    ({"name": "cosine_similarity"}, "linear", TARGETS.astype(f32)),
    ({"name": "categorical_focal_crossentropy"}, "softmax", ONE_HOT.astype(f32)),
    ({"name": "categorical_focal_crossentropy", "labelSmoothing": 0.1}, "softmax", DISTRIBUTION.astype(f32)),
    ({"name": "categorical_focal_crossentropy"}, "sigmoid", ONE_HOT.astype(f32)),
    ({"name": "categorical_focal_crossentropy", "fromLogits": True, "gamma": 1.5, "alpha": 0.3}, "linear", ONE_HOT.astype(f32)),
    # Keras computes the softmax of probabilities then.
    ({"name": "categorical_focal_crossentropy", "fromLogits": True, "gamma": 0.0}, "softmax", ONE_HOT.astype(f32)),
    ({"name": "categorical_generalized_cross_entropy"}, "softmax", CLASSES),
    ({"name": "categorical_generalized_cross_entropy", "q": 0.2}, "sigmoid", CLASSES),
]
gradients = [gradient_case(case, activation, target, weighted) for case, activation, target in GRADIENTS
             for weighted in (False, True)]

STEPS, BATCH = 20, 12


def dense(name, units, activation, previous):
    layer = keras.layers.Dense(units, activation=activation, name=name)
    return layer(previous), layer


def run(name, build, losses, loss_weights, targets, sizes):
    keras.utils.clear_session()
    shapes = [(BATCH, size) for size in sizes]
    inputs = [keras.Input((size,), name=f"x{i}") for i, size in enumerate(sizes)]
    outputs, layers = build(inputs)
    model = keras.Model(inputs, outputs)
    weights = []
    for layer in model.layers:
        own = [rounded(random.normal(size=w.shape) * 0.4).astype(f32) for w in layer.get_weights()]
        layer.set_weights(own)
        weights += own
    data = [rounded(random.normal(size=(STEPS * BATCH, size))).astype(f32) for size in sizes]
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=losses, loss_weights=loss_weights)
    values = []
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        logs = model.train_on_batch([d[rows] for d in data], [t[rows] for t in targets], return_dict=True)
        model.reset_metrics()
        values.append({key: float(value) for key, value in logs.items()})
    trained = [v for layer in model.layers for w in layer.get_weights() for v in w.ravel().tolist()]
    return {"name": name, "sizes": sizes, "units": [int(o.shape[-1]) for o in outputs], "losses": losses,
            "lossWeights": loss_weights, "weights": [listed(w) for w in weights],
            "inputs": [listed(d) for d in data], "targets": [listed(t) for t in targets], "values": values,
            "trained": [round(v, 7) for v in trained]}


def one_output(activation, units):
    def build(inputs):
        hidden, _ = dense("hidden", 8, "tanh", inputs[0])
        output, _ = dense("out", units, activation, hidden)
        return [output], None
    return build


def two_outputs(inputs):
    left, _ = dense("left", 6, "tanh", inputs[0])
    right, _ = dense("right", 5, "relu", inputs[1])
    joined = keras.layers.Concatenate(name="joined")([left, right])
    a, _ = dense("a", 3, "softmax", joined)
    b, _ = dense("b", 2, "linear", joined)
    return [a, b], None


total = STEPS * BATCH
runs = [
    run("regression", one_output("linear", 2), ["mean_squared_error"], [1.0],
        [rounded(random.normal(size=(total, 2))).astype(f32)], [6]),
    run("multi-label", one_output("sigmoid", 4), ["binary_crossentropy"], [1.0],
        [random.integers(0, 2, (total, 4)).astype(f32)], [6]),
    run("two inputs and outputs", two_outputs, ["sparse_categorical_crossentropy", "mean_squared_error"], [1.0, 0.3],
        [random.integers(0, 3, total), rounded(random.normal(size=(total, 2))).astype(f32)], [6, 4]),
]

path = os.path.join(os.path.dirname(__file__), "keras-losses.json")
with open(path, "w") as file:
    json.dump({"weights": WEIGHTS, "losses": cases, "metrics": metrics, "inputs": listed(INPUTS), "kernel": listed(KERNEL),
               "bias": listed(BIAS), "gradients": gradients, "runs": runs}, file)
    file.write("\n")
print(len(cases), "losses,", len(metrics), "metrics,", len(gradients), "gradients")
