"""Compares networks here with diffusers' on the same weights and inputs, through `collafuse model run`.

    make parity PYTHON=~/torch/bin/python
    python ops/bench/parity.py [--collafuse .build/release/collafuse] [--model DIR ...] [--json FILE]

Needs diffusers, torch and safetensors. Each --model is a folder trained or exported here: Python opens it with from_pretrained, and
both sides are called with the same numbers. Without --model, checkpoints that diffusers makes with random weights are opened here:
the shape of google/ddpm-cifar10-32 among them. Prints one line a model, and says with its exit status whether all agree within 1e-4.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import diffusers
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel, UNet2DModel
from safetensors.torch import load_file, save_file

# The config.json of google/ddpm-cifar10-32.
CIFAR = dict(
    act_fn="silu", attention_head_dim=None, block_out_channels=(128, 256, 256, 256), center_input_sample=False,
    down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"), downsample_padding=0, flip_sin_to_cos=False,
    freq_shift=1, in_channels=3, layers_per_block=2, mid_block_scale_factor=1, norm_eps=1e-6, norm_num_groups=32, out_channels=3,
    sample_size=32, time_embedding_type="positional", up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
)
CLASSES = dict(
    sample_size=32, block_out_channels=(32, 64, 128), layers_per_block=1, num_class_embeds=11, attention_head_dim=8,
    down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"), norm_num_groups=8, resnet_time_scale_shift="scale_shift",
)
TEXT = dict(
    sample_size=16, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=48, attention_head_dim=4, norm_num_groups=8,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)
TOLERANCE = 1e-4


def inputs(config):
    """Numbers for every argument that a network of this config takes."""
    size = config.get("sample_size") or 32
    height, width = (size, size) if isinstance(size, int) else size
    result = {"sample": torch.randn(4, config["in_channels"], height, width), "timestep": torch.tensor([0, 250, 731, 999])}
    if config.get("num_class_embeds"):
        result["class_labels"] = torch.arange(4) % config["num_class_embeds"]
    if config.get("cross_attention_dim"):
        result["encoder_hidden_states"] = torch.randn(4, 9, config["cross_attention_dim"])
    return result


def relative(output, truth):
    """The largest difference over the largest value, and that of the norms."""
    return float((output - truth).abs().max() / truth.abs().max()), float((output - truth).norm() / truth.norm())


def compare(name, folder, collafuse, dtypes):
    config = json.loads((folder / "config.json").read_text())
    kind = UNet2DConditionModel if config["_class_name"] == "UNet2DConditionModel" else UNet2DModel
    model = kind.from_pretrained(folder).eval().float()
    torch.manual_seed(7)
    given = inputs(config)
    with torch.no_grad():
        truth = model(**given).sample
    line = {"model": name, "parameters": sum(p.numel() for p in model.parameters())}
    with tempfile.TemporaryDirectory() as scratch:
        source, target = pathlib.Path(scratch, "in.safetensors"), pathlib.Path(scratch, "out.safetensors")
        save_file({key: value.contiguous() for key, value in given.items()}, source)
        for dtype in dtypes:
            command = [collafuse, "model", "run", "--model", folder, "--input", source, "--output", target, "--dtype", dtype]
            subprocess.run([str(word) for word in command], check=True)
            largest, norm = relative(load_file(target)["sample"], truth)
            line[dtype] = {"largest": largest, "norm": norm}
            if dtype != "float32":
                half = kind.from_pretrained(folder, torch_dtype=getattr(torch, dtype)).eval()
                cast = {k: v.to(half.dtype) if v.is_floating_point() else v for k, v in given.items()}
                with torch.no_grad():
                    line[dtype]["diffusers"] = relative(half(**cast).sample.float(), truth)[1]
    print(json.dumps(line), flush=True)
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collafuse", default=".build/release/collafuse")
    parser.add_argument("--model", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    dtypes = ["float32", "bfloat16", "float16"]
    lines = [compare(folder.name, folder, options.collafuse, dtypes) for folder in options.model]
    if not options.model:
        for name, kind, config in [
            ("ddpm-cifar10-32", UNet2DModel, CIFAR), ("classes", UNet2DModel, CLASSES), ("text", UNet2DConditionModel, TEXT),
        ]:
            torch.manual_seed(1)
            with tempfile.TemporaryDirectory() as scratch:
                folder = pathlib.Path(scratch, name)
                kind(**config).save_pretrained(folder)
                DDPMScheduler().save_pretrained(folder)
                lines.append(compare(name, folder, options.collafuse, dtypes))
    if options.json:
        versions = {"torch": torch.__version__, "diffusers": diffusers.__version__}
        options.json.write_text(json.dumps({**versions, "tolerance": TOLERANCE, "models": lines}, indent=2) + "\n")
    sys.exit(0 if all(line["float32"]["largest"] < TOLERANCE for line in lines) else 1)


if __name__ == "__main__":
    main()
