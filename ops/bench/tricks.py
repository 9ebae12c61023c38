#!/usr/bin/env python3
"""What three tricks that are not taken would gain, measured with PyTorch and diffusers on this machine:

    python ops/bench/tricks.py [--model small|cifar ...] [--seconds 3] [--rounds 5] [--threads 2] [--json FILE]

- AOTInductor: a package compiled for one batch, against torch.compile with freezing, both bfloat16 and channels last. `collafuse bench denoise --only
  compile` compares this project with the latter.
- one time embedding for each distinct timestep: the share of a pass that embeddings and their projections take, which is all that could be saved.
- threads pinned to cores: two processes of one thread that make passes at the same time, each on a core of its own (sched_setaffinity), against two
  that the system places.

Sides take turns; a ratio is the median of the turns'. Needs diffusers and torch, a C++ compiler, and a machine that does nothing else. With
--threads 1 the first two count the processor's time, which others on the machine disturb little.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time

import torch
import torch._inductor.config
from diffusers import UNet2DModel

MODELS = {
    "small": dict(
        block_out_channels=(32, 64, 128), layers_per_block=1, norm_num_groups=8, attention_head_dim=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D")),
    "cifar": dict(
        block_out_channels=(128, 256, 256, 256), layers_per_block=2, norm_num_groups=32, attention_head_dim=None, norm_eps=1e-6,
        freq_shift=1, flip_sin_to_cos=False, downsample_padding=0,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D")),
}
BATCH = 32


class Plain(torch.nn.Module):
    """A network whose output is a tensor."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, times):
        return self.network(x, times, return_dict=False)[0]


def network(name):
    torch.manual_seed(1)
    model = UNet2DModel(sample_size=32, in_channels=3, out_channels=3, **MODELS[name])
    return Plain(model).bfloat16().to(memory_format=torch.channels_last).eval()


def inputs():
    x = torch.randn(BATCH, 3, 32, 32, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    return x, torch.arange(BATCH) * 31


def rate(work, seconds, clock=time.perf_counter):
    """Samples a second."""
    work()
    done, start = 0, clock()
    while (passed := clock() - start) < seconds:
        work()
        done += BATCH
    return done / passed


def compared(ours, theirs, options):
    """ours over theirs, turn by turn."""
    clock = time.process_time if options.threads == 1 else time.perf_counter
    pairs = [(rate(ours, options.seconds, clock), rate(theirs, options.seconds, clock)) for _ in range(options.rounds)]
    ratios = sorted(a / b for a, b in pairs)
    return {"ratio": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}


@torch.inference_mode()
def embeddings(name, options):
    """Sinusoids, the two layers after them and every block's projection, as a share of the pass."""
    model, (x, times) = network(name), inputs()
    inner = model.network
    projections = [m.time_emb_proj for m in inner.modules() if getattr(m, "time_emb_proj", None) is not None]

    def alone():
        embedded = torch.nn.functional.silu(inner.time_embedding(inner.time_proj(times).bfloat16()))
        for projection in projections:
            projection(embedded)

    share = compared(lambda: model(x, times), alone, options)
    return {"share": share["ratio"], "least": share["least"], "most": share["most"]}


@torch.no_grad()
def ahead_of_time(name, options):
    torch._inductor.config.freezing = True
    x, times = inputs()
    compiled = torch.compile(network(name))
    for _ in range(3):
        compiled(x, times)
    begun = time.perf_counter()
    exported = torch.export.export(network(name), (x, times))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "package.pt2")
        torch._inductor.aoti_compile_and_package(exported, package_path=str(path))
        result = {"seconds_to_compile": time.perf_counter() - begun, "package_bytes": path.stat().st_size}
        package = torch._inductor.aoti_load_package(str(path))
        result.update(compared(lambda: package(x, times), lambda: compiled(x, times), options))
    return result


def one_thread(name, core, seconds, ready, rates):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if core is not None:
        os.sched_setaffinity(0, {core})
    model, (x, times) = network(name), inputs()
    with torch.inference_mode():
        model(x, times)
        ready.wait()
        rates.put(rate(lambda: model(x, times), seconds))


def both(name, cores, seconds):
    """Samples a second of two processes together."""
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(2), context.Queue()
    processes = [context.Process(target=one_thread, args=(name, core, seconds, ready, rates)) for core in cores]
    for process in processes:
        process.start()
    total = sum(rates.get() for _ in processes)
    for process in processes:
        process.join()
    return total


def pinned(name, options):
    cores = sorted(os.sched_getaffinity(0))[:2]
    ratios = sorted(both(name, cores, options.seconds) / both(name, [None, None], options.seconds) for _ in range(options.rounds))
    return {"ratio": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}


TRICKS = {"embeddings": embeddings, "pinned": pinned, "aotinductor": ahead_of_time}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--only", choices=TRICKS, action="append")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    figures = []
    for trick in options.only or TRICKS:
        for name in options.model or MODELS:
            figures.append({"trick": trick, "model": name, **TRICKS[trick](name, options)})
            print(json.dumps(figures[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "batch": BATCH, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
