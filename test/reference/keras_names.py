"""Lists the public names of Keras 3, as the rows of docs/conformance.md.

    python test/reference/keras_names.py > test/reference/keras-names.json          (keras 3.15.1)

Each group has its names in order, each with `kind`, class or function. `same` is the name of the same object under which Keras
itself defines it, if that is another one; with its group if it stands in an earlier one.
"""

import importlib
import inspect
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras

GROUPS = "layers activations losses metrics regularizers constraints optimizers optimizers.schedules initializers".split()


def members(group):
    module = importlib.import_module(f"keras.{group}")
    found = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {name: value for name, value in sorted(found.items()) if not inspect.ismodule(value)}


def main():
    groups, earlier = {}, {}
    for group in GROUPS:
        own, rows = members(group), []
        for name, value in own.items():
            row = {"name": name, "kind": "class" if inspect.isclass(value) else "function"}
            same = [other for other, one in own.items() if one is value]
            first = value.__name__ if value.__name__ in same else same[0]
            if first != name:
                row["same"] = first
            elif id(value) in earlier and name not in ("get", "serialize", "deserialize"):
                row["same"] = earlier[id(value)]
            rows.append(row)
        for name, value in own.items():
            earlier.setdefault(id(value), f"{group}.{name}")
        groups[group] = rows
    lines = ",\n".join(
        f'  "{group}": [\n' + ",\n".join("    " + json.dumps(row) for row in rows) + "\n  ]" for group, rows in groups.items()
    )
    head = json.dumps({"madeBy": "test/reference/keras_names.py", "versions": {"keras": keras.__version__}})
    sys.stdout.write(f'{head[:-1]}, "groups": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    main()
