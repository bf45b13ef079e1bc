"""Loads models that gradcast wrote as .keras files in Keras 3, and compares their predictions with those of gradcast.

How to run it:

    python -m venv venv
    . venv/bin/activate
    pip install tensorflow-cpu==2.21 keras==3.15.1
    mkdir exports
    GRADCAST_KERAS_EXPORTS=$PWD/exports npx vitest run --project quick test/integration/keras-export
    python test/reference/keras_load.py exports

For each NAME.keras in the folder, NAME.json has the images, their shape, whether they are divided by 255, and the probabilities
that gradcast's WebAssembly engine computes. The script prints the largest difference of each model and ends with status 1 if one is
above 1e-6, or a model cannot be loaded.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np

TOLERANCE = 1e-6


def main(folder):
    worst, failed, count = 0.0, [], 0
    for path in sorted(pathlib.Path(folder).glob("*.keras")):
        case = json.loads(path.with_suffix(".json").read_text())
        images = np.array(case["images"], np.uint8).reshape((-1, *case["shape"])).astype(np.float32)
        if case["divide"]:
            images /= np.float32(255)
        count += 1
        try:
            model = keras.saving.load_model(path)
            found = np.array(model(images, training=False))
            difference = float(np.max(np.abs(found - np.array(case["probabilities"]).reshape(found.shape))))
        except Exception as error:
            failed.append(f"{path.name}: {type(error).__name__}: {str(error)[:300]}")
            continue
        worst = max(worst, difference)
        if not difference <= TOLERANCE:
            failed.append(f"{path.name}: differs by {difference:.2e}")
    print("\n".join(failed))
    print(f"{count} models, {len(failed)} failed, largest difference of the others or of all: {worst:.2e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
