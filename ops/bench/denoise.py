#!/usr/bin/env python3
"""What `collafuse bench denoise` compares itself with: PyTorch and diffusers on the same weights and threads.

It is started by the command and told what to measure, one JSON object a line on standard input:

    {"do": "load", "model": DIR, "threads": 2}
    {"do": "requests", "way": "eager" | "batched", "batch": 16, "seconds": 5}   samples·steps a second
    {"do": "forward", "batch": 32, "dtype": "bfloat16", "seconds": 5}           samples a second, torch.compile with freezing
    {"do": "train", "batch": 32, "seconds": 5}                                  images a second
    {"do": "profile", "batch": 32, "dtype": "bfloat16"}                         operators and their share of the time

Each is answered by one line: {"rate": …}, {"operators": […]} or {"error": …}. Needs torch and diffusers.
"""
import itertools
import json
import sys
import time

import torch
import torch._inductor.config
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

LAYOUT = {"memory_format": torch.channels_last}
# What the clients of the other side ask for: sampler, steps.
REQUESTS = [("ddim", 10), ("ddim", 20), ("ddpm", 25), ("ddim", 15)]


def rate(seconds, work):
    """How much `work()` does a second: it returns how much it did in one go."""
    work()
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        done += work()
    return done / passed


class Bench:
    def __init__(self, model, threads):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        self.folder = model
        self.config = UNet2DModel.load_config(model)
        self.compiled = {}
        self.kept = {}

    def model(self, dtype="float32", channels_last=False):
        key = dtype, channels_last
        if key not in self.kept:
            model = UNet2DModel.from_pretrained(self.folder).to(getattr(torch, dtype)).eval()
            self.kept[key] = model.to(**LAYOUT) if channels_last else model
        return self.kept[key]

    def inputs(self, batch, dtype="float32"):
        side = self.config["sample_size"]
        x = torch.randn(batch, self.config["in_channels"], side, side, dtype=getattr(torch, dtype))
        return x, torch.randint(0, 1000, (batch,))

    def labels(self, batch):
        rows = self.config.get("num_class_embeds")
        return torch.randint(0, rows, (batch,)) if rows else None

    @torch.inference_mode()
    def requests(self, way, seconds, batch=1):
        """Requests one after another; `batched`: as many together as one scheduler can take, all at the same step."""
        requests = itertools.cycle(REQUESTS)
        dtype = "bfloat16" if way == "batched" else "float32"
        model = self.model(dtype, channels_last=way == "batched")
        schedulers = {"ddim": DDIMScheduler, "ddpm": DDPMScheduler}

        def one():
            name, steps = next(requests)
            scheduler = schedulers[name].from_pretrained(self.folder)
            scheduler.set_timesteps(steps)
            x, labels = self.inputs(batch)[0], self.labels(batch)
            for t in scheduler.timesteps:
                seen = x.to(getattr(torch, dtype))
                noise = model(seen.to(**LAYOUT) if way == "batched" else seen, t, labels).sample
                x = scheduler.step(noise.float(), t, x).prev_sample
            return batch * steps

        return rate(seconds, one)

    @torch.no_grad()
    def forward(self, batch, dtype, seconds):
        key = batch, dtype
        model = self.model(dtype, channels_last=True)
        x, times = self.inputs(batch, dtype)
        x, labels = x.to(**LAYOUT), self.labels(batch)
        if key not in self.compiled:
            torch._inductor.config.freezing = True
            self.compiled[key] = torch.compile(model)
            for _ in range(3):
                self.compiled[key](x, times, labels)
        return rate(seconds, lambda: self.compiled[key](x, times, labels).sample.shape[0])

    def train(self, batch, seconds):
        if "train" not in self.kept:
            model = UNet2DModel.from_pretrained(self.folder).train()
            average = [p.detach().clone() for p in model.parameters()]
            optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
            self.kept["train"] = model, average, optimiser, DDPMScheduler.from_pretrained(self.folder)
        model, average, optimiser, scheduler = self.kept["train"]
        images, _ = self.inputs(batch)
        labels = self.labels(batch)

        def one():
            noise, times = torch.randn_like(images), torch.randint(0, 1000, (batch,))
            predicted = model(scheduler.add_noise(images, noise, times), times, labels).sample
            loss = torch.nn.functional.mse_loss(predicted, noise)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            with torch.no_grad():
                torch._foreach_lerp_(average, list(model.parameters()), 0.005)
            loss.item()
            return batch

        return rate(seconds, one)

    @torch.inference_mode()
    def profile(self, batch, dtype):
        from torch.profiler import ProfilerActivity, profile

        model = self.model(dtype, channels_last=True)
        x, times = self.inputs(batch, dtype)
        x, labels = x.to(**LAYOUT), self.labels(batch)
        model(x, times, labels)
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            for _ in range(3):
                model(x, times, labels)
        events = seen.key_averages()
        whole = sum(e.self_cpu_time_total for e in events)
        rows = sorted(((e.self_cpu_time_total / whole, e.key, e.count // 3) for e in events), reverse=True)
        return [{"operator": name, "share": share, "calls": calls} for share, name, calls in rows[:12]]


def main():
    bench = None
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        try:
            if do == "load":
                bench = Bench(**order)
                answer = {"torch": torch.__version__}
            elif do == "profile":
                answer = {"operators": bench.profile(**order)}
            else:
                answer = {"rate": getattr(bench, do)(**order)}
        except Exception as error:  # told to the command, which names what could not be measured
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
