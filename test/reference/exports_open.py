"""Opens models that gradcast exported in the frameworks that the files are for, and compares predictions with those of gradcast.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install keras==3.15.1 tensorflow-cpu==2.21 onnx onnxruntime safetensors torch
    MNIST_DIR=... npm run bench -- exports exports
    python test/reference/exports_open.py exports

Each folder in `exports` has a model in all formats, the inputs of its test samples, and what gradcast's WebAssembly engine predicts
for them (for outputs after the first: what Keras predicts). For each format whose package is installed, the script prints the largest difference from gradcast, and the accuracy where
an output is a class. It ends with status 1 if a difference is above 1e-5, or an accuracy is
another one.
"""

import importlib.util
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np

TOLERANCE = 1e-5
BATCH = 1000


def has(package):
    return importlib.util.find_spec(package) is not None


def in_batches(predict, inputs):
    """Outputs of all samples. predict takes the inputs of some samples and returns a list of outputs."""
    count = len(inputs[0])
    parts = [predict([x[at : at + BATCH] for x in inputs]) for at in range(0, count, BATCH)]
    return [np.concatenate([part[i] for part in parts]) for i in range(len(parts[0]))]


def open_keras(folder, case):
    import keras

    model = keras.saving.load_model(folder / "model.keras")

    def predict(inputs):
        found = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        return [np.array(each) for each in (found if isinstance(found, (list, tuple)) else [found])]

    return predict


def open_saved_model(folder, case):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "saved_model"))
    serve = loaded.signatures["serving_default"]
    names = case["signature"]

    def predict(inputs):
        found = serve(**{name: tf.constant(x) for name, x in zip(names["inputs"], inputs)})
        return [found[name].numpy() for name in names["outputs"]]

    # The signature needs what was loaded.
    predict.loaded = loaded
    return predict


def open_onnx(folder, case):
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(folder / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    names = case["onnx"]
    return lambda inputs: session.run(names["outputs"], dict(zip(names["inputs"], inputs)))


def open_safetensors(folder, case):
    import torch
    from safetensors_in_torch import open_model

    model = open_model(folder / "model.safetensors")
    return lambda inputs: [each.numpy() for each in model([torch.from_numpy(x) for x in inputs])]


FORMATS = [
    ("keras", "tensorflow", open_keras),
    ("savedmodel", "tensorflow", open_saved_model),
    ("onnx", "onnxruntime", open_onnx),
    ("safetensors", "torch", open_safetensors),
]


def accuracy(values, targets):
    return float(np.mean(values.reshape(len(targets), -1).argmax(-1) == targets))


def check(folder):
    case = json.loads((folder / "case.json").read_text())
    read = lambda name, shape: np.fromfile(folder / name, np.float32).reshape((case["count"], *shape))
    inputs = [read(f"input-{i}.bin", shape) for i, shape in enumerate(case["inputs"])]
    failed = False
    for name, package, open_model in FORMATS:
        if not has(package):
            continue
        found = in_batches(open_model(folder, case), inputs)
        # gradcast predicts the first output only.
        for i, values in enumerate(found):
            if name == "keras" and i > 0:
                values.tofile(folder / f"expected-{i}.bin")
        known = [i for i in range(len(found)) if (folder / f"expected-{i}.bin").exists()]
        expected = {i: read(f"expected-{i}.bin", case["outputs"][i]) for i in known}
        difference = max(float(np.max(np.abs(found[i] - values))) for i, values in expected.items())
        scores = []
        for i, is_class in enumerate(case["isClass"]):
            targets = np.fromfile(folder / f"target-{i}.bin", np.float32)
            if i in expected and is_class and len(targets) == case["count"]:
                scores.append((accuracy(found[i], targets), accuracy(expected[i], targets)))
        failed |= not difference <= TOLERANCE or any(ours != theirs for ours, theirs in scores)
        text = ", ".join(f"{ours:.4f} and {theirs:.4f}" for ours, theirs in scores)
        print(f"| {folder.name} | {name} | {case['count']} | {difference:.1e} | {text} |", flush=True)
    return failed


def main(root):
    print("| model | format | samples | largest difference | accuracy, and gradcast's |")
    print("| ----- | ------ | ------- | ------------------ | ------------------------ |")
    folders = sorted(path.parent for path in pathlib.Path(root).glob("*/case.json"))
    return 1 if any([check(folder) for folder in folders]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
