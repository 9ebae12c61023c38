"""Makes chain.json: what diffusers and closed forms say about schedules, single steps and exposure.

    python chain.py        # needs diffusers, torch, numpy and scipy; writes chain.json beside itself

diffusers keeps its tables in float32: good to about five digits, and worse near t = 0, where 1 − ᾱ is small. Tables are compared
with that in mind; for single steps its schedulers are given tables in float64, so that their arithmetic can be compared exactly.
"""

import json
import pathlib

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from scipy.optimize import brentq
from scipy.special import log_ndtr

PROBES = [0, 1, 9, 99, 199, 333, 499, 500, 749, 900, 998, 999]


def schedules():
    """ᾱ at a few of diffusers' timesteps (ours less one), and the sigmoid schedule from its formula."""
    linear = DDPMScheduler(beta_schedule="linear").alphas_cumprod
    cosine = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    start, end, tau = -3.0, 3.0, 1.0  # Jabri et al. 2022, Algorithm 1, in the form that diffusion libraries use: start −3, end 3
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    u = np.arange(1001) / 1000
    bar = (sigmoid(end / tau) - sigmoid((u * (end - start) + start) / tau)) / (sigmoid(end / tau) - sigmoid(start / tau))
    betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
    jabri = np.cumprod(1 - betas)
    small = DDPMScheduler(beta_schedule="linear", num_train_timesteps=100, beta_start=0.001, beta_end=0.2).alphas_cumprod
    beta_sigmoid = DDPMScheduler(beta_schedule="sigmoid", beta_start=0.001, beta_end=0.03).alphas_cumprod
    return {
        "betaSigmoid": [float(beta_sigmoid[i]) for i in PROBES],
        "rescaledLinear": [float(rescaled(np.linspace(1e-4, 0.02, 1000))[i]) for i in PROBES],
        "rescaledScaledLinear": [float(rescaled(np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)[i]) for i in PROBES],
        "linear": [float(linear[i]) for i in PROBES],
        "cosine": [float(cosine[i]) for i in PROBES],
        "sigmoid": [float(jabri[i]) for i in PROBES],
        "linear100": [float(v) for v in small],
    }


def rescaled(betas):
    """ᾱ by diffusers' own formula for rescale_betas_zero_snr, in float64."""
    return torch.cumprod(1 - rescale_zero_terminal_snr(torch.tensor(betas, dtype=torch.float64)), 0)


def table(schedule):
    """ᾱ in float64, from the formulas of the papers."""
    if schedule == "rescaled":
        return rescaled(np.linspace(1e-4, 0.02, 1000))
    if schedule == "linear":
        betas = np.linspace(1e-4, 0.02, 1000)
    else:
        bar = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
    return torch.tensor(np.cumprod(1 - betas), dtype=torch.float64)


def steps():
    """Single steps from t to s, with and without clipping, noise included through a known generator."""
    out = []
    x, e = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64), torch.tensor([[-0.4, 0.7, 1.5]], dtype=torch.float64)
    # From the last timestep of the rescaled one, where ε says nothing of x_0, too.
    for schedule in ["linear", "squaredcos_cap_v2", "rescaled"]:
        places = [(50, 1000), (20, 500)] if schedule == "rescaled" else [(50, 981), (50, 481), (20, 501), (10, 101), (1000, 700), (1000, 1)]
        for count, t in places:
            for clip in [False, True]:
                for prediction in ["epsilon", "v_prediction", "sample"][schedule == "rescaled":]:
                    options = dict(clip_sample=clip, prediction_type=prediction, rescale_betas_zero_snr=schedule == "rescaled",
                                   beta_schedule="linear" if schedule == "rescaled" else schedule,
                                   timestep_spacing="trailing" if schedule == "rescaled" else "leading")
                    ddpm = DDPMScheduler(**options)
                    ddpm.alphas_cumprod = table(schedule)
                    ddpm.set_timesteps(count)
                    d = t - 1
                    s = max(0, t - 1000 // count)
                    z = torch.randn(1, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
                    result = ddpm.step(e, d, x, generator=torch.Generator().manual_seed(5))
                    out.append(dict(sampler="ddpm", eta=0, schedule=schedule, t=t, s=s, clip=clip, prediction=prediction,
                                    x=x[0].tolist(), output=e[0].tolist(), z=z[0].tolist(), result=result.prev_sample[0].tolist()))
                    for eta in [0.0, 0.5, 1.0]:
                        ddim = DDIMScheduler(**options)
                        ddim.alphas_cumprod = table(schedule)
                        ddim.set_timesteps(count)
                        result = ddim.step(e, d, x, eta=eta, variance_noise=z, use_clipped_model_output=True)
                        out.append(dict(sampler="ddim", eta=eta, schedule=schedule, t=t, s=s, clip=clip, prediction=prediction,
                                        x=x[0].tolist(), output=e[0].tolist(), z=z[0].tolist(), result=result.prev_sample[0].tolist()))
    return out


def privacy():
    """ε(δ) of Gaussian differential privacy, with logarithms of Φ instead of the Swift code's Mills ratio."""
    def delta(mu, epsilon):
        near = log_ndtr(-epsilon / mu + mu / 2)
        far = epsilon + log_ndtr(-epsilon / mu - mu / 2)
        return np.exp(near) - np.exp(far)

    out = []
    for mu in [0.05, 0.5, 1.0, 3.0, 10.0, 16.0, 50.0, 300.0]:
        for target in [1e-2, 1e-5, 1e-8]:
            if delta(mu, 0.0) <= target:
                epsilon = 0.0
            else:
                epsilon = brentq(lambda e: delta(mu, e) - target, 0.0, mu * mu + 20 * mu, xtol=1e-12, rtol=1e-14)
            out.append(dict(mu=mu, delta=target, epsilon=epsilon))
    return out


if __name__ == "__main__":
    golden = dict(probes=PROBES, schedules=schedules(), steps=steps(), privacy=privacy())
    path = pathlib.Path(__file__).with_name("chain.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size)
