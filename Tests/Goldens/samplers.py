"""Makes samplers/: what diffusers' schedulers say about lists of timesteps, single steps and whole trajectories.

    python samplers.py     # needs diffusers, torch, numpy, scikit-learn and safetensors; half a minute; about 500 KB

- lists.json         timesteps of every scheduler, spacing and offset over its whole chain
- trailing.json      a hash of the trailing list for each number of steps that there is
- steps.safetensors  single steps in float32: x_t, what the network said, and diffusers' x_s, from diffusers' own x_t on the way
- exact.safetensors  whole trajectories in float64 for data of which the exact denoiser is known
- trained/           a small U-Net trained on scikit-learn's digits, and its trajectories in float32

Timesteps are written as diffusers counts them, one less than ours. Euler and Heun work on x/√ᾱ in diffusers: what is written is x.
"""

import json
import pathlib

import numpy as np
import torch
from diffusers import (DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler,
                       HeunDiscreteScheduler, UNet2DModel)
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm, scheduling_dpmsolver_multistep
from diffusers.schedulers import scheduling_euler_discrete, scheduling_heun_discrete
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "samplers"
CLASSES = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler, "dpm-solver++": DPMSolverMultistepScheduler,
           "euler": EulerDiscreteScheduler, "heun": HeunDiscreteScheduler}
SCALED = ("euler", "heun")  # they work on x/√ᾱ
MODULES = [scheduling_ddim, scheduling_ddpm, scheduling_dpmsolver_multistep, scheduling_euler_discrete,
           scheduling_heun_discrete]


class InDouble:
    """torch or numpy with float64 for float32: diffusers' own code, in double precision."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        return getattr(self.module, "float64" if name == "float32" else name)


def in_double():
    for module in MODULES:
        module.torch, module.np = InDouble(torch), InDouble(np)


def in_single():
    for module in MODULES:
        module.torch, module.np = torch, np


def scheduler(sampler, steps, **options):
    if sampler == "heun":  # its default is another schedule than the others'
        options = {"beta_start": 1e-4, "beta_end": 0.02, **options}
    made = CLASSES[sampler](**options)
    made.set_timesteps(steps)
    return made


def lists():
    out = []
    for sampler in CLASSES:
        for spacing in ["leading", "trailing", "linspace"]:
            for offset in ([0, 1] if spacing == "leading" else [0]):
                for steps in [2, 7, 10, 25, 28, 50, 333]:
                    made = scheduler(sampler, steps, timestep_spacing=spacing, steps_offset=offset)
                    times = [float(t) for t in made.timesteps]
                    if sampler == "heun":  # which names every timestep but the first twice
                        times = times[:1] + times[1::2]
                    out.append(dict(sampler=sampler, spacing=spacing, offset=offset, steps=steps, timesteps=times))
    return out


def trailing():
    """For 1 … 1000 steps a hash of the list: from 0, hash ← hash·1,000,003 + t mod 2⁶⁴.

    62 of the lists have one timestep too many, −1, which is left out: np.arange stops short of 0 by a rounding error there."""
    hashes = []
    for steps in range(1, 1001):
        lists = []
        for sampler in CLASSES:
            times = [int(t) for t in scheduler(sampler, steps, timestep_spacing="trailing").timesteps]
            lists.append(times[:1] + times[1::2] if sampler == "heun" else times)
        assert all(times == lists[0] for times in lists), steps
        assert len(lists[0]) == steps or lists[0][steps:] == [-1], steps
        value = 0
        for t in lists[0][:steps]:
            value = (value * 1_000_003 + t) % 2**64
        hashes.append(value)
    return hashes


class Walk:
    """A trajectory by diffusers, step by step, in terms of x even where diffusers works on x/√ᾱ."""

    def __init__(self, sampler, steps, eta=0.0, raw=True, **options):
        self.sampler, self.eta, self.raw = sampler, eta, raw
        self.made = scheduler(sampler, steps, **options)
        self.bar = self.made.alphas_cumprod

    def scale(self, index):
        """√ᾱ where the scheduler stands at this index of its list, or at the end."""
        sigma = self.made.sigmas[index]
        return 1 / (sigma**2 + 1) ** 0.5

    def run(self, x, network, noise):
        """Yields (timestep asked, x, output, z, x afterwards)."""
        state = x / self.scale(0) if self.sampler in SCALED else x
        for index, t in enumerate(self.made.timesteps):
            if self.sampler in SCALED:
                before = self.made.scale_model_input(state, t)
            else:
                before = state
            output = network(before, t)
            z = noise(index)
            if self.sampler == "ddpm":
                original = scheduling_ddpm.randn_tensor
                scheduling_ddpm.randn_tensor = lambda *a, **k: z
                result = self.made.step(output, t, state)
                scheduling_ddpm.randn_tensor = original
            elif self.sampler == "ddim":
                result = self.made.step(output, t, state, eta=self.eta, variance_noise=z,
                                        use_clipped_model_output=not self.raw)
            else:
                result = self.made.step(output, t, state)
            state = result.prev_sample
            after = state * self.scale(index + 1) if self.sampler in SCALED else state
            yield int(t), before, output, z, after


SETTINGS = [
    dict(sampler="ddpm"), dict(sampler="ddpm", variance_type="fixed_large", timestep_spacing="leading"),
    dict(sampler="ddpm", variance_type="fixed_large"),
    dict(sampler="ddpm", thresholding=True, sample_max_value=2.0, dynamic_thresholding_ratio=0.9),
    dict(sampler="ddim", clip_sample=False), dict(sampler="ddim", eta=0.6, raw=False),
    dict(sampler="ddim", eta=0.3, raw=True), dict(sampler="ddim", timestep_spacing="linspace"), dict(sampler="ddim", clip_sample_range=1.5),
    dict(sampler="ddim", thresholding=True, sample_max_value=3.0, dynamic_thresholding_ratio=0.8, raw=False),
    dict(sampler="dpm-solver++"), dict(sampler="dpm-solver++", timestep_spacing="leading"),
    dict(sampler="dpm-solver++", thresholding=True, sample_max_value=2.0, dynamic_thresholding_ratio=0.95),
    dict(sampler="euler"), dict(sampler="heun"), dict(sampler="heun", clip_sample=True),
    dict(sampler="ddim", timestep_spacing="leading", set_alpha_to_one=False, raw=False),
    dict(sampler="ddim", timestep_spacing="leading", set_alpha_to_one=False, steps_offset=1, eta=0.5, clip_sample=False),
]


def settings():
    for given in SETTINGS:
        for prediction in ["epsilon", "v_prediction", "sample"]:
            for schedule in ["linear", "squaredcos_cap_v2"]:
                yield {"timestep_spacing": "trailing", **given, "prediction_type": prediction, "beta_schedule": schedule}


def described(given, walk):
    """The numbers of the scheduler that Swift is to follow."""
    config = walk.made.config
    clips = given["sampler"] in ("ddpm", "ddim", "heun") and config.get("clip_sample") and not config.get("thresholding")
    return dict(sampler=given["sampler"], eta=walk.eta, stride=1000 // walk.made.num_inference_steps, raw=walk.raw, variance=config.get("variance_type") or "",
                end=0 if config.get("set_alpha_to_one", True) else 1, prediction=config["prediction_type"], schedule=config["beta_schedule"],
                clip=config["clip_sample_range"] if clips else 0.0,
                quantile=config["dynamic_thresholding_ratio"] if config.get("thresholding") else 0.0,
                maximum=config["sample_max_value"] if config.get("thresholding") else 0.0)


def steps():
    """For a network that says something smooth, so that x stays where x of such a timestep lies."""
    in_single()
    kept, tensors = [], {name: [] for name in ["x", "output", "z", "result"]}
    generator = torch.Generator().manual_seed(1)
    normals = lambda: torch.randn(1, 1, 2, 4, generator=generator)
    for given in settings():
        walk = Walk(**given, steps=10)
        image = 0.8 * torch.tanh(2 * normals())

        def network(x, t):
            bar = walk.bar[int(t)]
            epsilon = ((x - bar**0.5 * image) / (1 - bar) ** 0.5 + 0.05 * normals()).clamp(-3, 3)
            return {"epsilon": epsilon, "sample": image + 0.05 * torch.tanh(x),
                    "v_prediction": bar**0.5 * epsilon - (1 - bar) ** 0.5 * image}[given["prediction_type"]]

        rows = list(walk.run(normals(), network, lambda index: normals()))
        asked = [t for t, *_ in rows]
        kept.append(dict(described(given, walk), asked=asked))
        for _, before, output, z, after in rows:
            for name, value in zip(tensors, [before, output, z, after]):
                tensors[name].append(value.reshape(8))
    (HERE / "steps.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    save_file({name: torch.stack(values).float().contiguous() for name, values in tensors.items()}, HERE / "steps.safetensors")


def exact_network(mean, variance, prediction, bar):
    """The exact denoiser where every value of x_0 is N(±mean, variance), either with probability ½."""

    def network(x, t):
        a = bar[int(t)]
        v = a * variance + 1 - a
        image = torch.tanh(a**0.5 * mean * x / v) * mean * (1 - a) / v + a**0.5 * variance / v * x
        epsilon = (x - a**0.5 * image) / (1 - a) ** 0.5
        return {"epsilon": epsilon, "sample": image, "v_prediction": a**0.5 * epsilon - (1 - a) ** 0.5 * image}[prediction]

    return network


def table(schedule):
    """ᾱ from the formulas of the papers, in float64."""
    if schedule == "linear":
        return np.linspace(1e-4, 0.02, 1000)
    bar = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - bar[1:] / bar[:-1], 0.999)


def exact():
    in_double()
    generator = torch.Generator().manual_seed(2)
    normals = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    mean, start, noise = normals(1, 1, 2, 3).abs(), normals(2, 1, 2, 3), normals(20, 2, 1, 2, 3)
    kept, results = [], []
    for given in settings():
        walk = Walk(**{**given, "trained_betas": table(given["beta_schedule"])}, steps=20)
        network = exact_network(mean, 0.04, given["prediction_type"], walk.bar)
        asked, after = [], start
        for t, _, _, _, after in walk.run(start, network, lambda index: noise[min(index, len(noise) - 1)]):
            asked.append(t)
        assert after.dtype == torch.float64
        kept.append(dict(described(given, walk), asked=asked))
        results.append(after)
    (HERE / "exact.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    save_file({"mean": mean, "start": start, "noise": noise, "results": torch.stack(results)}, HERE / "exact.safetensors")
    in_single()


def trained():
    from sklearn.datasets import load_digits

    in_single()
    torch.manual_seed(3)
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(data.target)
    model = UNet2DModel(sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16),
                        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
                        norm_num_groups=4, attention_head_dim=8, num_class_embeds=11)
    chain = DDPMScheduler(beta_schedule="squaredcos_cap_v2", timestep_spacing="leading")
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(600):
        rows = torch.randint(len(images), (64,))
        times, noise = torch.randint(1000, (64,)), torch.randn(64, 1, 8, 8)
        said = model(chain.add_noise(images[rows], noise, times), times,
                     class_labels=torch.where(torch.rand(64) < 0.1, 10, labels[rows])).sample
        loss = torch.nn.functional.mse_loss(said, noise)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    folder = HERE / "trained"
    model.save_pretrained(folder)
    chain.save_pretrained(folder)
    start, noise, wanted = torch.randn(3, 1, 8, 8), torch.randn(50, 3, 1, 8, 8), torch.tensor([3, 7, 10])
    tensors = {"x_T": start, "noise": noise, "labels": wanted}
    with torch.no_grad():
        for sampler in CLASSES:
            made = CLASSES[sampler].from_pretrained(folder)
            walk = Walk(sampler, 50)
            walk.made, walk.bar = made, made.alphas_cumprod
            made.set_timesteps(50)
            network = lambda x, t: model(x, t, class_labels=wanted).sample
            for *_, after in walk.run(start, network, lambda index: noise[min(index, len(noise) - 1)]):
                pass
            tensors[sampler] = after
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "golden.safetensors")
    print("loss", loss.item(), {name: round(value.abs().max().item(), 3) for name, value in tensors.items()})


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    (HERE / "lists.json").write_text(json.dumps(lists(), separators=(",", ":")) + "\n")
    (HERE / "trailing.json").write_text(json.dumps(trailing(), separators=(",", ":")) + "\n")
    steps()
    exact()
    trained()
    print({path.name: path.stat().st_size for path in sorted(HERE.rglob("*")) if path.is_file()})
