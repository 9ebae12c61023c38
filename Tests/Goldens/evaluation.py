"""Goldens for EvaluationTests: Fréchet distances by SciPy's matrix root. Run: python evaluation.py (numpy, scipy, safetensors)."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save
from scipy.linalg import sqrtm

HERE = Path(__file__).parent


def frechet(a, b, ridge=0.0):
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(ca @ cb + ridge * np.eye(len(ca))))
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * np.trace(root)


if __name__ == "__main__":
    random = np.random.default_rng(3)
    a = random.normal(size=(40, 6)) @ random.normal(size=(6, 6))
    b = random.normal(size=(30, 6)) @ random.normal(size=(6, 6)) + 0.5
    digits = HERE.parent.parent / "topology/digits/digits.safetensors"
    file = load_file(digits)
    pixels = file["images"].reshape(-1, 64).astype(np.float64)
    # Held-out digits against 500 others. Corner pixels that never vary make the product singular: a little is added before the root.
    rows = random.permutation(np.flatnonzero(file["split"] == 0))[:500]
    train, held = pixels[rows], pixels[file["split"] == 1]
    out = {"a": a, "b": b, "distance": np.array(frechet(a, b)), "digits": np.array(frechet(train, held, 1e-10)), "rows": rows}
    (HERE / "evaluation.safetensors").write_bytes(save(out))
    print({k: float(out[k]) for k in ("distance", "digits")})
