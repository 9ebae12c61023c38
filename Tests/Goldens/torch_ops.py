"""Goldens for TorchTests and SafetensorsTests, computed by PyTorch. Run: python torch_ops.py (torch, diffusers, safetensors, numpy)."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.training_utils import EMAModel
from safetensors.torch import save

HERE = Path(__file__).parent
torch.manual_seed(7)
torch.use_deterministic_algorithms(True)


def layers():
    """For each case: operands, the gradient put in at the output, the output, and the gradients of the operands. In float64."""
    out = {}

    def case(name, function, **operands):
        leaves = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in operands.items()}
        y = function(**leaves)
        seed = torch.randn_like(y)
        y.backward(seed)
        out[f"{name}/seed"], out[f"{name}/y"] = seed, y.detach()
        for key, leaf in leaves.items():
            out[f"{name}/{key}"] = leaf.detach()
            if leaf.grad is not None:
                out[f"{name}/{key}.grad"] = leaf.grad

    def r(*shape):
        return torch.randn(*shape, dtype=torch.float64)

    case("linear", lambda x, weight, bias: F.linear(x, weight, bias), x=r(3, 5), weight=r(4, 5), bias=r(4))
    case("conv2d", lambda x, weight, bias: F.conv2d(x, weight, bias, padding=1), x=r(2, 3, 5, 5), weight=r(4, 3, 3, 3), bias=r(4))
    case("conv2d_stride", lambda x, weight: F.conv2d(x, weight, stride=2, padding=1), x=r(2, 3, 6, 6), weight=r(4, 3, 3, 3))
    case("group_norm", lambda x, weight, bias: F.group_norm(x, 2, weight, bias, 1e-5), x=r(2, 6, 3, 3), weight=r(6), bias=r(6))
    case("layer_norm", lambda x, weight, bias: F.layer_norm(x, (7,), weight, bias, 1e-5), x=r(4, 7), weight=r(7), bias=r(7))
    case("embedding", lambda weight, x: F.embedding(x, weight), weight=r(6, 4), x=torch.tensor([[0, 5], [2, 2]]))
    case("silu", lambda x: F.silu(x), x=r(9))
    case("gelu", lambda x: F.gelu(x), x=r(9))
    case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), x=r(9))
    case("softmax", lambda x: F.softmax(x, 1), x=r(3, 4))
    case("log_softmax", lambda x: F.log_softmax(x, 1), x=r(3, 4))
    case("cross_entropy", lambda x, labels: F.cross_entropy(x, labels, label_smoothing=0.1), x=r(5, 3), labels=torch.tensor([0, 2, 1, 1, 0]))
    case("attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v), q=r(2, 2, 5, 4), k=r(2, 2, 6, 4), v=r(2, 2, 6, 4))
    case("upsample", lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"), x=r(1, 2, 3, 3))
    case("avg_pool", lambda x: F.avg_pool2d(x, 2), x=r(1, 2, 4, 4))
    case("max_pool", lambda x: F.max_pool2d(x, 2), x=r(1, 2, 4, 4))
    case("matmul", lambda a, b: a @ b, a=r(2, 3, 4), b=r(4, 5))
    case("variance", lambda x: x.var(1), x=r(3, 6))
    return out


def optimiser():
    """Five steps of AdamW on two parameters with clipping in between, and diffusers' moving average, whose ramp reaches its limit on the way."""
    out = {}
    parameters = [torch.nn.Parameter(torch.randn(3, 4)), torch.nn.Parameter(torch.randn(5))]
    average = EMAModel(parameters, decay=0.25)
    optimizer = torch.optim.AdamW(parameters, lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
    for i, p in enumerate(parameters):
        out[f"start/{i}"] = p.detach().clone()
    for step in range(5):
        for i, p in enumerate(parameters):
            p.grad = torch.randn_like(p) * (3 if step % 2 else 0.1)
            out[f"{step}/gradient/{i}"] = p.grad.clone()
        out[f"{step}/norm"] = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.step(parameters)
        for i, p in enumerate(parameters):
            out[f"{step}/parameter/{i}"] = p.detach().clone()
            out[f"{step}/average/{i}"] = average.shadow_params[i].clone()
    return out


def formats():
    """Every element type, odd names, empty and scalar tensors."""
    values = torch.tensor([[-2.5, 0.0, 1.0], [3.25, 100.0, -0.125]])
    types = dict(f64=torch.float64, f32=torch.float32, f16=torch.float16, bf16=torch.bfloat16)
    types |= dict(i64=torch.int64, i32=torch.int32, i16=torch.int16, i8=torch.int8)
    out = {name: values.to(kind).clone() for name, kind in types.items()}
    out["u8"] = torch.tensor([0, 7, 255], dtype=torch.uint8)
    out["bool"] = torch.tensor([True, False, True])
    out['a "quoted" näme\\\n\t\x01 ☃'] = torch.tensor(1.5)
    out["empty"] = torch.zeros(0, 4)
    return save(out, metadata={"made by": "Python \u2603"})


def normals():
    """Philox4x32-10 and Box–Muller written down a second time, with NumPy's integers."""

    def philox(counter, key):
        c, k = [int(v) for v in counter], [int(v) for v in key]
        for _ in range(10):
            p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
            k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
        return c

    seed, sample, timestep, purpose = 0x0123456789ABCDEF, 7, 420, 2
    words = [w for b in range(8) for w in philox((b, timestep, sample, purpose), (seed & 0xFFFFFFFF, seed >> 32))]
    u = (np.array(words, dtype=np.float64) + 0.5) / 2**32
    radius, angle = np.sqrt(-2 * np.log(u[0::2])), 2 * np.pi * u[1::2]
    normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)
    uniform = ((np.array(words, dtype=np.int64) >> 9) + 0.5) / 2**23
    return {"normals": torch.tensor(normal), "uniforms": torch.tensor(uniform)}


if __name__ == "__main__":
    (HERE / "torch_layers.safetensors").write_bytes(save({k: v.contiguous() for k, v in layers().items()}))
    (HERE / "torch_optimiser.safetensors").write_bytes(save(optimiser()))
    (HERE / "torch_normals.safetensors").write_bytes(save(normals()))
    (HERE / "safetensors_types.safetensors").write_bytes(formats())
