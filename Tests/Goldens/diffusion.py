"""Makes unet-*/: tiny random UNet2DModels and UNet2DConditionModels as diffusers saves them, with an input and diffusers' own output.

    python diffusion.py    # needs diffusers, torch and safetensors; writes beside itself, well under 1 MB in all
"""

import copy
import json
import pathlib

import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DConditionModel, UNet2DModel
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent

MODELS = {
    # Classes with a null row, attention at the lower resolution: the shape of the digits' models.
    "classes": dict(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4, attention_head_dim=4, num_class_embeds=5,
    ),
    # The switches that google/ddpm-cifar10-32 sets: one head, padded downsampling, sine first, frequencies shifted.
    "cifar": dict(
        sample_size=8, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(8, 8, 12),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4, norm_eps=1e-6, attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1,
        center_input_sample=True,
    ),
    # Resampling by residual blocks, scale and shift by time, and a middle without a norm before its attention.
    "resnet": dict(
        sample_size=(8, 12), in_channels=2, out_channels=2, layers_per_block=1, block_out_channels=(8, 12),
        down_block_types=("AttnDownBlock2D", "ResnetDownsampleBlock2D"),
        up_block_types=("ResnetUpsampleBlock2D", "AttnUpBlock2D"),
        norm_num_groups=2, attention_head_dim=5, downsample_type="resnet", upsample_type="resnet",
        resnet_time_scale_shift="scale_shift", mid_block_scale_factor=1.5, time_embedding_dim=20,
    ),
    # No attention in the middle, and blocks that resample by residual blocks between others.
    "plain": dict(
        sample_size=8, in_channels=1, out_channels=2, layers_per_block=1, block_out_channels=(4, 8, 8),
        down_block_types=("ResnetDownsampleBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "ResnetUpsampleBlock2D"),
        norm_num_groups=2, add_attention=False,
    ),
    # A table of timesteps, classes embedded as timesteps, another activation, a norm of the middle's own, dropout (of no effect here).
    "learned": dict(
        sample_size=4, in_channels=1, out_channels=2, layers_per_block=1, block_out_channels=(4, 8),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=2, attn_norm_num_groups=4, attention_head_dim=4, resnet_time_scale_shift="scale_shift", act_fn="mish",
        time_embedding_type="learned", num_train_timesteps=1000, class_embed_type="timestep", dropout=0.1,
    ),
    # Told noise levels at random frequencies, classes as they are, no middle.
    "fourier": dict(
        sample_size=4, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(5,),
        down_block_types=("AttnDownBlock2D",), up_block_types=("AttnUpBlock2D",), mid_block_type=None,
        norm_num_groups=5, attention_head_dim=None, time_embedding_type="fourier", class_embed_type="identity",
    ),
    # Text by way of convolutions, as in Stable Diffusion 1.
    "text": dict(
        text=6, sample_size=8, in_channels=2, out_channels=2, layers_per_block=1, block_out_channels=(4, 8),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=2, attention_head_dim=2,
    ),
    # Text by way of linear layers, as in Stable Diffusion 2, with as many heads and layers as each resolution wants, and classes.
    "text-linear": dict(
        text=5, sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(4, 4),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2D", norm_num_groups=2, attention_head_dim=[1, 2], transformer_layers_per_block=[1, 2],
        use_linear_projection=True, only_cross_attention=True, num_class_embeds=3, act_fn="gelu",
        resnet_time_scale_shift="scale_shift",
    ),
    # Pixels that look at the text alone, but in the middle, where diffusers passes over the word.
    "text-cross": dict(
        text=4, sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(4, 8),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=2, attention_head_dim=2, only_cross_attention=True,
    ),
}


def make(name, options):
    torch.manual_seed(len(name))
    options = dict(options)
    text = options.pop("text", None)
    if text:
        model = UNet2DConditionModel(cross_attention_dim=text, **options).eval()
    else:
        model = UNet2DModel(**options).eval()
    with torch.no_grad():  # norms start as the identity, where a mix-up of weight and bias would not show
        for key, value in model.named_parameters():
            value.add_(0.1 * torch.randn(value.shape))
    folder = HERE / f"unet-{name}"
    model.save_pretrained(folder, safe_serialization=True)
    DDPMScheduler(beta_schedule="squaredcos_cap_v2").save_pretrained(folder)
    size = options["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    x = torch.randn(3, options["in_channels"], height, width)
    t = torch.tensor([0, 417, 999])
    if options.get("time_embedding_type") == "fourier":
        t = torch.tensor([0.01, 1.5, 80.0])
    tensors = {"sample": x, "timestep": t}
    if options.get("num_class_embeds"):
        tensors["class_labels"] = torch.tensor([0, 3, 4]) % options["num_class_embeds"]
    elif options.get("class_embed_type") == "timestep":
        tensors["class_labels"] = torch.tensor([0, 3, 40])
    elif options.get("class_embed_type") == "identity":
        tensors["class_labels"] = torch.randn(3, 4 * options["block_out_channels"][0])
    if text:
        tensors["encoder_hidden_states"] = torch.randn(3, 7, text)
    with torch.no_grad():
        tensors["output"] = model(**tensors).sample.contiguous()
        if name in HALVES:
            inputs = {key: value for key, value in tensors.items() if key != "output"}
            for dtype in torch.bfloat16, torch.float16:
                half = {k: v.to(dtype) if v.is_floating_point() and k != "timestep" else v for k, v in inputs.items()}
                tensors[f"output.{str(dtype)[6:]}"] = copy.deepcopy(model).to(dtype)(**half).sample.float().contiguous()
    save_file(tensors, folder / "golden.safetensors")


# Whose outputs at half precision are kept too, so that ours may be no further off than diffusers' own.
HALVES = {"cifar", "text"}

def guided():
    """A few steps of DDIM with text, guided away from the last prompt, in double precision."""
    folder = HERE / "unet-text"
    torch.manual_seed(11)
    model = UNet2DConditionModel.from_pretrained(folder).eval().double()
    scheduler = DDIMScheduler.from_pretrained(folder)
    scheduler.set_timesteps(5)
    start, prompts = torch.randn(2, 2, 8, 8).double(), torch.randn(3, 7, 6).double()
    x, weight = start, 3.0
    with torch.no_grad():
        for t in scheduler.timesteps:
            said = model(x, t, encoder_hidden_states=prompts[:2]).sample
            none = model(x, t, encoder_hidden_states=prompts[2:].expand(2, -1, -1)).sample
            x = scheduler.step(none + weight * (said - none), t, x).prev_sample
    save_file(
        {"x_T": start, "encoder_hidden_states": prompts, "sample": x.contiguous()}, folder / "guided.safetensors")


if __name__ == "__main__":
    for name, options in MODELS.items():
        make(name, options)
    guided()
    total = sum(path.stat().st_size for path in HERE.glob("unet-*/*"))
    print(json.dumps({"bytes": total}))
