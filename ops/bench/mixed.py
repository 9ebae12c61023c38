#!/usr/bin/env python3
"""What `--precision mixed` costs and gains in training: the same digits, seeds and images in float32 and in mixed precision.

    python ops/bench/mixed.py [--binaries .build/release] [--seeds 3] [--images 20000] [--json FILE]

Trains with `collafuse client train` for each seed and precision, one after another, and opens what came out with diffusers. A pair begins
with the same parameters and sees the same images, timesteps and noise. Compared are the error of the noise that is predicted on held-out
digits, with the same noise and timesteps for all, and the Fréchet distance of samples' pixels to held-out digits, DDIM over 25 steps from
the same starts. Needs diffusers, torch and safetensors.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
from diffusers import DDIMScheduler, UNet2DModel
from safetensors.torch import load_file

DIGITS = pathlib.Path("topology/digits/digits.safetensors")
CUT = 999  # All of the chain but its last step, where hardly any image is left.
TOPOLOGY = f"""
run:
  name: mixed
  cut: {CUT}
  image: [1, 8, 8]
  labels: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
  backbone: {{channels: [32, 64], layers: 1, attention: [false, true]}}
workers: [{{name: trainer, role: train}}, {{name: denoiser, role: denoise}}]
clients: [{{name: north, images: {DIGITS.resolve()}}}]
limit_db: 60
"""
DRAWS, SAMPLES, STEPS, NONE = 20, 500, 25, 10


class Digits:
    """The held-out fifth, in [-1, 1], and the noise and timesteps that everybody is asked about."""

    def __init__(self):
        data = load_file(DIGITS)
        held = data["split"] == 1
        self.images = (data["images"][held].float() / 8 - 1).unsqueeze(1)
        self.labels = data["labels"][held]
        draw = torch.Generator().manual_seed(11)
        self.noise = torch.randn(DRAWS, *self.images.shape, generator=draw)
        self.times = torch.randint(0, CUT, (DRAWS, len(self.images)), generator=draw)
        self.start = torch.randn(SAMPLES, 1, 8, 8, generator=draw)


@torch.inference_mode()
def held_out_error(model, scheduler, digits):
    errors = []
    for noise, times in zip(digits.noise, digits.times):
        predicted = model(scheduler.add_noise(digits.images, noise, times), times, digits.labels).sample
        errors.append((predicted - noise).square().mean().item())
    return statistics.mean(errors)


@torch.inference_mode()
def samples(model, scheduler, digits):
    x, labels = digits.start.clone(), torch.arange(SAMPLES) % NONE
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t, labels).sample, t, x).prev_sample
    return x


def frechet(one, other):
    """|m - n|² + tr(A + B - 2 (A B)^½) of the pixels' means and covariances."""
    one, other = one.flatten(1).double(), other.flatten(1).double()
    a, b = torch.cov(one.T), torch.cov(other.T)
    values, vectors = torch.linalg.eigh(a)
    root = vectors @ values.clamp(min=0).sqrt().diag() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()
    return float((one.mean(0) - other.mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross)


def called(options, *words):
    subprocess.run([str(word) for word in [options.binaries / "collafuse", *words]], check=True, stdout=subprocess.DEVNULL)


def trained(options, folder, seed, precision):
    """Where the model lies, and how many images a second it was trained on. Each is a client of its own, as a client has one home."""
    name = f"{precision}-{seed}"
    home = folder / name
    called(options, "keys", "add", "client", name, "--keys", folder / "keys")
    words = [
        "client", "train", "--kit", folder / "keys/nodes" / name, "--deployment", folder / "keys/public",
        "--broker", "tcp://127.0.0.1:9", "--home", home, "--images", DIGITS, "--cut", CUT, "--for", options.images, "--seed", seed,
        "--precision", precision,
    ]
    begun = time.perf_counter()
    called(options, *words)
    [model] = home.glob(f"heads/*/cut-{CUT}")
    return model, options.images / (time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=pathlib.Path, default=pathlib.Path(".build/release"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20000)
    parser.add_argument("--threads", type=int, default=1, help="of the judge")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    digits, rows = Digits(), []
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "topology.yaml").write_text(TOPOLOGY)
        called(options, "keys", "init", folder / "keys")
        called(options, "keys", "add", "broker", "broker", "--keys", folder / "keys")
        called(options, "keys", "run", folder / "topology.yaml", "--keys", folder / "keys")
        for seed in range(options.seeds):
            for precision in ["single", "mixed"]:
                model, rate = trained(options, folder, seed, precision)
                network, scheduler = UNet2DModel.from_pretrained(model).eval(), DDIMScheduler.from_pretrained(model)
                drawn = samples(network, scheduler, digits)
                row = {
                    "seed": seed, "precision": precision, "images_a_second": rate,
                    "held_out_error": held_out_error(network, scheduler, digits), "frechet": frechet(drawn, digits.images),
                }
                rows.append(row)
                print(json.dumps(row), flush=True)
    summary = {"images": options.images, "rows": rows}
    for name in ["held_out_error", "frechet", "images_a_second"]:
        ratios = [m[name] / s[name] for s, m in zip(rows[::2], rows[1::2])]
        summary[f"{name} mixed/float32"] = {"mean": statistics.mean(ratios), "least": min(ratios), "most": max(ratios)}
        print(name, summary[f"{name} mixed/float32"])
    if options.json:
        options.json.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
