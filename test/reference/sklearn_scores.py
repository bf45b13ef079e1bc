"""Writes sklearn_scores.json: scores of made predictions by scikit-learn, for test/coordinator/predict/scores.test.ts.

Run it with scikit-learn installed: python test/reference/sklearn_scores.py
"""

import json
from pathlib import Path

import sklearn
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)

NAMES = ["ant", "bee", "cat", "dog", "eel"]


def classes(actual, predicted):
    labels = list(range(len(NAMES)))

    def scores(**options):
        result = precision_recall_fscore_support(actual, predicted, zero_division=0, **options)
        return [part.tolist() if hasattr(part, "tolist") else part for part in result]

    return {
        "actual": actual,
        "predicted": predicted,
        "matrix": confusion_matrix(actual, predicted, labels=labels).tolist(),
        "accuracy": accuracy_score(actual, predicted),
        "each": scores(labels=labels),
        "macro": scores(average="macro"),
        "weighted": scores(average="weighted"),
    }


def values(expected, predicted):
    return {
        "expected": expected,
        "predicted": predicted,
        "mae": mean_absolute_error(expected, predicted),
        "rmse": root_mean_squared_error(expected, predicted),
        "r2": r2_score(expected, predicted),
    }


made = {
    "sklearn": sklearn.__version__,
    "names": NAMES,
    "classes": {
        "mixed": classes([(7 * i) % 5 for i in range(40)], [(7 * i + i % 3 * (i % 7)) % 5 for i in range(40)]),
        # Class 3 is never predicted, class 2 never true, and class 4 neither.
        "without predictions or samples": classes([0, 0, 1, 1, 3, 3, 3], [0, 1, 1, 2, 0, 1, 2]),
        "all wrong": classes([0, 1, 2, 3, 4], [1, 2, 3, 4, 0]),
    },
    "values": {
        "mixed": values([3.5, -0.5, 2, 7, 1e6, 1e6 + 1], [2.5, 0.0, 2.1, 8, 1e6 + 4, 1e6 - 3]),
        "worse than the mean": values([1, 2, 3], [3, 2, 1]),
        "constant and perfect": values([4, 4, 4], [4, 4, 4]),
        "constant and wrong": values([4, 4, 4], [4, 5, 4]),
    },
}
path = Path(__file__).with_name("sklearn_scores.json")
path.write_text(json.dumps(made, indent=2) + "\n")
