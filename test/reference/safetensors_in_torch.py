"""Models of gradcast's .safetensors files in PyTorch: the layers from the metadata `model_config`, the weights by their names.

    from safetensors_in_torch import open_model
    predict = open_model("model.safetensors")
    [probabilities] = predict([torch.from_numpy(images)])

It knows the layers of the models with which exports_open.py compares, and names any other one in its error. Values between layers have
the shapes of Keras, the channels last.
"""

import json

import torch
from safetensors import safe_open
from torch.nn import functional

ACTIVATIONS = {
    "gelu": functional.gelu,
    "linear": lambda x: x,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: torch.softmax(x, -1),
    "tanh": torch.tanh,
}


def open_model(path):
    """Returns a function from the list of inputs, tensors of float32, to the list of outputs."""
    with safe_open(path, "pt") as file:
        model = json.loads(file.metadata()["model_config"])
        weights = {name: file.get_tensor(name) for name in file.keys()}
    config = model["config"]
    layers = config["layers"]
    if model["class_name"] == "Sequential":
        inputs, calls = in_a_chain(layers)
        outputs = [(calls[-1][0], 0)]
    else:
        inputs, calls = in_order(layers, [name for name, *_ in config["input_layers"]])
        outputs = [tuple(output[:2]) for output in config["output_layers"]]

    def predict(given):
        with torch.no_grad():
            values = {(name, 0): value for name, value in zip(inputs, given)}
            for name, index, kind, settings, sources in calls:
                own = {key[len(name) + 1 :]: value for key, value in weights.items() if key.startswith(f"{name}/")}
                if kind not in LAYERS:
                    raise ValueError(f"The layer {name} is a {kind}, which this program does not know.")
                values[name, index] = LAYERS[kind](settings, own, *[values[source] for source in sources])
            return [values[output] for output in outputs]

    return predict


def in_a_chain(layers):
    """Input names and calls (layer, number of its call, class, settings, sources) of a Sequential model."""
    calls, source = [], ("input", 0)
    for layer in layers:
        settings = layer["config"]
        if layer["class_name"] != "InputLayer":
            calls.append((settings["name"], 0, layer["class_name"], settings, [source]))
            source = (settings["name"], 0)
    return ["input"], calls


def in_order(layers, inputs):
    """The same of a functional model, each call after its sources."""
    waiting = [
        (layer["name"], index, layer["class_name"], layer["config"], [tuple(source[:2]) for source in node])
        for layer in layers
        for index, node in enumerate(layer["inbound_nodes"])
    ]
    known, calls = {(name, 0) for name in inputs}, []
    while waiting:
        ready = [call for call in waiting if known.issuperset(call[4])]
        if not ready:
            raise ValueError("The model has a cycle.")
        calls += ready
        known |= {call[:2] for call in ready}
        waiting = [call for call in waiting if call[:2] not in known]
    return inputs, calls


def activation(settings, key="activation"):
    return ACTIVATIONS[settings[key]]


def dense(settings, weights, x):
    # Keras has [inputs, outputs], PyTorch [outputs, inputs].
    return activation(settings)(functional.linear(x, weights["kernel"].T, weights.get("bias")))


def conv2d(settings, weights, x):
    # Keras has [h, w, inputs, outputs], PyTorch [outputs, inputs, h, w].
    kernel = weights["kernel"].permute(3, 2, 0, 1)
    x = x.permute(0, 3, 1, 2)
    if settings["padding"] == "same":
        x = functional.pad(x, same_padding(x, settings))
    options = {"stride": settings["strides"], "dilation": settings["dilation_rate"], "groups": settings.get("groups", 1)}
    x = functional.conv2d(x, kernel, weights.get("bias"), **options)
    return activation(settings)(x.permute(0, 2, 3, 1))


def same_padding(x, settings):
    """Pads as TensorFlow does, which has the larger half after the image: of the last axis first, as PyTorch wants it."""
    padding = []
    for axis in (1, 0):
        size, stride = x.shape[2 + axis], settings["strides"][axis]
        window = (settings["kernel_size"][axis] - 1) * settings["dilation_rate"][axis] + 1
        total = max(0, (-(-size // stride) - 1) * stride + window - size)
        padding += [total // 2, total - total // 2]
    return padding


def max_pool(settings, weights, x):
    x = functional.max_pool2d(x.permute(0, 3, 1, 2), settings["pool_size"], settings["strides"])
    return x.permute(0, 2, 3, 1)


def batch_norm(settings, weights, x):
    scale = weights["gamma"] / torch.sqrt(weights["moving_variance"] + settings["epsilon"])
    return (x - weights["moving_mean"]) * scale + weights["beta"]


def layer_norm(settings, weights, x):
    shape = weights["gamma"].shape
    return functional.layer_norm(x, shape, weights["gamma"], weights["beta"], settings["epsilon"])


def gru(settings, weights, x):
    units = settings["units"]
    layer = torch.nn.GRU(x.shape[-1], units, batch_first=True)

    # Keras has the gates z r h, PyTorch r z n.
    def reorder(values):
        z, r, h = values.split(units, -1)
        return torch.cat([r, z, h], -1)

    layer.weight_ih_l0.data = reorder(weights["kernel"]).T.contiguous()
    layer.weight_hh_l0.data = reorder(weights["recurrent_kernel"]).T.contiguous()
    layer.bias_ih_l0.data, layer.bias_hh_l0.data = reorder(weights["bias"])
    states, last = layer(x)
    return states if settings["return_sequences"] else last[0]


def attention(settings, weights, query, value, key=None):
    def project(name, x):
        # [inputs, heads, size of a head]
        x = torch.einsum("bti,ihd->bhtd", x, weights[f"{name}/kernel"])
        return x + weights[f"{name}/bias"].unsqueeze(1)

    heads = functional.scaled_dot_product_attention(
        project("query", query),
        project("key", value if key is None else key),
        project("value", value),
        is_causal=settings.get("use_causal_mask", False),
    )
    return torch.einsum("bhtd,hdo->bto", heads, weights["attention_output/kernel"]) + weights["attention_output/bias"]


LAYERS = {
    "Activation": lambda settings, _, x: activation(settings)(x),
    "Add": lambda _settings, _, *all: sum(all[1:], all[0]),
    "BatchNormalization": batch_norm,
    "Concatenate": lambda settings, _, *all: torch.cat(all, settings["axis"]),
    "Conv2D": conv2d,
    "Dense": dense,
    "Dropout": lambda _settings, _, x: x,
    "Embedding": lambda _, weights, x: weights["embeddings"][x.long()],
    "Flatten": lambda _settings, _, x: x.flatten(1),
    "GRU": gru,
    "GlobalAveragePooling1D": lambda _settings, _, x: x.mean(1),
    "GlobalAveragePooling2D": lambda _settings, _, x: x.mean((1, 2)),
    "LayerNormalization": layer_norm,
    "MaxPooling2D": max_pool,
    "MultiHeadAttention": attention,
    "Reshape": lambda settings, _, x: x.reshape(len(x), *settings["target_shape"]),
}
