"""Makes digits.safetensors from scikit-learn's copy of the UCI handwritten digits: make_digits.py [FILE].

Needs scikit-learn and safetensors (made with 1.9.1 and 0.8.0).
The held-out fifth is drawn per digit with a fixed seed, so that every digit keeps its share.
"""

import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

SEED = 20260
HELD_OUT = 5  # one in five


def main() -> None:
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("digits.safetensors")
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    labels = digits.target.astype(np.int64)
    random = np.random.RandomState(SEED)
    split = np.zeros(len(labels), np.uint8)
    for label in range(10):
        rows = np.flatnonzero(labels == label)
        split[random.permutation(rows)[: round(len(rows) / HELD_OUT)]] = 1
    save_file(
        {"images": images, "labels": labels, "split": split},
        target,
        metadata={"maximum": "16", "source": "UCI Optical Recognition of Handwritten Digits, CC BY 4.0"},
    )
    print(f"{target}: {len(labels)} images, {int(split.sum())} held out")


main()
