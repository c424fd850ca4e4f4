"""The architecture of a network, read from the keys and shapes of its state dict."""

from __future__ import annotations

import re

import torch

from models.architectures.stylegan2 import channels_of_generator

State = dict[str, torch.Tensor]
UNKNOWN = "not a ResNet, a U-Net or a StarGAN generator of this family"


def generator_flags(state: State) -> dict[str, object]:
    """{flag: value} of the generator with these weights; ValueError for other networks.

    Flags that weights do not determine are left out: a U-Net's dropout, which does not change the keys, and the domains
    of a StarGAN, of which the file has only the number (see stargan_condition).
    """
    if is_stargan(state):
        return _stargan_flags(state)
    if "model.1.weight" in state and "model.model.0.weight" not in state:
        return _resnet_flags(state)
    if "model.model.0.weight" in state:
        return _unet_flags(state)
    if "encoder.convs.1.0.weight" in state:
        return _stylegan2_flags(state)
    raise ValueError(UNKNOWN)


def _resnet_flags(state: State) -> dict[str, object]:
    stem, layers = state["model.1.weight"], _layers(state)
    blocks = {int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.conv_block\.", key))}
    if stem.shape[2:] != (7, 7) or not blocks:
        raise ValueError(UNKNOWN)
    convolutions = [key for key, value in state.items() if value.dim() == 4]
    second = {int(match[1]) for key in convolutions if (match := re.match(r"model\.\d+\.conv_block\.(\d+)\.", key))}
    blurs = [int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.filt$", key))]
    # In a block with reflection padding: pad, conv (1), norm, ReLU, [dropout], pad, conv (5, or 6 after a dropout).
    return {
        "netG": f"resnet_{len(blocks)}blocks",
        "ngf": stem.shape[0],
        "input_nc": stem.shape[1],
        "output_nc": state[f"model.{max(layers)}.weight"].shape[0],
        "normG": _norm(state, "model.2.running_mean", has_bias="model.1.bias" in state),
        "no_dropout": 6 not in second,
        "no_antialias": not any(index < min(blocks) for index in blurs),
        "no_antialias_up": not any(index > max(blocks) for index in blurs),
    }


def _stylegan2_flags(state: State) -> dict[str, object]:
    """Channel counts depend on ngf and the image side together; the first side that fits them is returned."""
    halvings = sum(re.fullmatch(r"encoder\.convs\.\d+\.skip\.1\.weight", key) is not None for key in state)
    layers = [int(match[1]) for key in state if (match := re.match(r"decoder\.convs\.(\d+)\.", key))]
    widths = [state["encoder.convs.1.0.weight"].shape[0]]
    widths += [state[f"encoder.convs.{2 + i}.skip.1.weight"].shape[0] for i in range(halvings)]
    for side in (256, 128, 64, 32, 512, 1024, 16):
        ngf = max(1, round(widths[0] * side * 32 / 16384))
        if widths == [channels_of_generator(max(1, side // 2**i), ngf) for i in range(halvings + 1)]:
            return {
                "netG": "stylegan2" if max(layers) - halvings == 3 else "smallstylegan2",
                "ngf": ngf,
                "input_nc": state["encoder.convs.1.0.weight"].shape[1],
                "output_nc": state[f"decoder.convs.{max(layers)}.0.weight"].shape[0],
                "stylegan2_G_num_downsampling": halvings,
                "stylegan2_size": side,
            }
    raise ValueError(f"a StyleGAN2 generator with {', '.join(map(str, widths))} channels: no image side explains them")


def _layers(state: State) -> list[int]:
    return [int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.weight$", key))]


def _unet_flags(state: State) -> dict[str, object]:
    down = state["model.model.0.weight"]
    depth = max(key.count("model.") - 1 for key in state if key.endswith("weight"))
    outer = re.compile(r"model\.model\.3\.weight$")
    up = next((value for key, value in state.items() if outer.match(key)), None)
    if up is None or 2**depth not in (128, 256):
        raise ValueError(f"a U-Net of {depth} halvings: unet_128 has 7 and unet_256 has 8")
    norm = "model.model.1.model.2.running_mean"
    return {
        "netG": f"unet_{2**depth}",
        "ngf": down.shape[0],
        "input_nc": down.shape[1],
        "output_nc": up.shape[1],
        "normG": _norm(state, norm, has_bias="model.model.0.bias" in state),
    }


def _norm(state: State, statistics: str, has_bias: bool) -> str:
    """The norm, by these rules: batch norm has weights and statistics; convolutions before instance norm have biases.

    Files from before PyTorch 0.4 also contain running statistics of instance norms, but no weights.
    """
    if statistics in state and statistics.replace("running_mean", "weight") in state:
        return "batch"
    return "instance" if has_bias else "none"


def is_stargan(state: State) -> bool:
    """Whether these are the weights of StarGAN's generator."""
    return "main.0.weight" in state and "main.1.running_mean" in state and "conv1.weight" not in state


def _stargan_flags(state: State) -> dict[str, object]:
    convolutions = [value for value in state.values() if value.dim() == 4]
    blocks = sum(key.endswith(".main.0.weight") for key in state)
    channels = convolutions[-1].shape[0]
    width = convolutions[0].shape[0]
    return {"g_conv_dim": width, "g_repeat_num": blocks, "input_nc": channels, "output_nc": channels}


def stargan_condition(state: State) -> int:
    """Channels of the condition of StarGAN's generator."""
    convolutions = [value for value in state.values() if value.dim() == 4]
    return convolutions[0].shape[1] - convolutions[-1].shape[0]


def discriminator_flags(state: State) -> dict[str, object]:
    """{flag: value} of the PatchGAN, pixel or StarGAN discriminator with these weights; ValueError for others."""
    if "conv2.weight" in state and "main.0.weight" in state:
        layers = sum(key.startswith("main.") and key.endswith(".weight") for key in state)
        size = state["conv2.weight"].shape[2] * 2**layers
        return {"d_conv_dim": state["main.0.weight"].shape[0], "d_repeat_num": layers, "image_size": size}
    if "net.0.weight" in state:
        statistics, bias = "net.3.running_mean", "net.2.bias" in state
        return {"netD": "pixel", "ndf": state["net.0.weight"].shape[0], "normD": _norm(state, statistics, bias)}
    kernels = {index: state[f"model.{index}.weight"] for index in _layers(state)}
    convolutions = sorted(index for index, value in kernels.items() if value.shape[2:] == (4, 4))
    if len(convolutions) < 3 or convolutions[0] != 0:
        raise ValueError("not a discriminator of this family")
    second = convolutions[1]
    return {
        "netD": "n_layers",
        "n_layers_D": len(convolutions) - 2,
        "ndf": kernels[0].shape[0],
        "normD": _norm(state, f"model.{second + 1}.running_mean", has_bias=f"model.{second}.bias" in state),
    }
