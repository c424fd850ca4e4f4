"""Parts that the networks share: norms by name, biases, padding, blur filters for resampling, initial weights."""

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Identity, init

from models.architectures.adjustable import ReflectionPad2d, ReplicationPad2d, make_adjustable, recomputed


class UnfitSize(ValueError):
    """The network does not take images of this height and width; the message states the sizes that it takes."""


def pad_to_multiple(images, multiple, smallest=1):
    """Pad images (N, C, H, W) at the right and lower edge to multiples of `multiple`, and to at least `smallest`.

    Padding is by reflection, or by replication if the image is too small to reflect. `smallest` must be a multiple of
    `multiple`. Images of a fitting size are returned as they are.
    """
    height, width = images.shape[-2:]
    below, right = (-side % multiple if side >= smallest else smallest - side for side in (height, width))
    if not right and not below:
        return images
    mode = "reflect" if right < width and below < height else "replicate"
    return F.pad(images, (0, right, 0, below), mode=mode)


def any_size(forward):
    """Decorator of a generator's forward(images, ...), which makes it take images of any height and width.

    Images are padded to a size that the network takes (its attributes ``multiple_of`` and ``smallest``), and the
    resulting image is cropped to the input's size. Feature maps in the result are those of the padded image.
    """

    @functools.wraps(forward)
    def padded_and_cropped(self, images, *args, **kwargs):
        padded = pad_to_multiple(images, self.multiple_of, self.smallest)
        result = forward(self, padded, *args, **kwargs)
        if padded is images or isinstance(result, list):
            return result
        height, width = images.shape[-2:]
        if isinstance(result, tuple):
            image, features = result
            return image[..., :height, :width], features
        return result[..., :height, :width]

    return padded_and_cropped


def _no_norm(channels):
    return Identity()


# Partials of torch's own classes: networks of plug-ins decide on biases by `norm_layer.func == nn.InstanceNorm2d`.
# SyncBatchNorm is batch norm in a single process; with several processes each needs a GPU.
NORM_LAYERS = {
    "instance": functools.partial(nn.InstanceNorm2d, affine=False, track_running_stats=False),
    "batch": functools.partial(nn.BatchNorm2d, affine=True, track_running_stats=True),
    "syncbatch": functools.partial(nn.SyncBatchNorm, affine=True, track_running_stats=True),
    "none": _no_norm,
}


def get_norm_layer(norm_type="instance"):
    """A function channels -> layer, for a value of --norm."""
    if norm_type not in NORM_LAYERS:
        raise ValueError(f"norm {norm_type!r}: choose one of {', '.join(NORM_LAYERS)}")
    return NORM_LAYERS[norm_type]


def needs_bias(norm_layer):
    """Whether a convolution before this norm has a bias: only before instance norm, as in all released checkpoints.

    Before no norm a bias would make sense, but the original networks have none.
    """
    made_by = norm_layer.func if isinstance(norm_layer, functools.partial) else norm_layer
    return isinstance(made_by, type) and issubclass(made_by, nn.InstanceNorm2d)


def make_norm(norm_layer, channels):
    """The norm for this number of channels; instance norm has correct gradients on the CPU (see adjustable.py)."""
    return make_adjustable(norm_layer(channels))


# Filter size -> row of Pascal's triangle, which approximates a Gaussian.
BINOMIAL = {
    1: (1,),
    2: (1, 1),
    3: (1, 2, 1),
    4: (1, 3, 3, 1),
    5: (1, 4, 6, 4, 1),
    6: (1, 5, 10, 10, 5, 1),
    7: (1, 6, 15, 20, 15, 6, 1),
}


def get_filter(filt_size=3):
    """A (filt_size, filt_size) blur kernel that sums to 1; sizes 1 to 7."""
    if filt_size not in BINOMIAL:
        raise ValueError(f"filter size {filt_size}: choose one of {', '.join(map(str, BINOMIAL))}")
    row = torch.tensor(BINOMIAL[filt_size], dtype=torch.float32)
    kernel = torch.outer(row, row)
    return kernel / kernel.sum()


PADDINGS = {
    "reflect": ReflectionPad2d,
    "refl": ReflectionPad2d,
    "replicate": ReplicationPad2d,
    "repl": ReplicationPad2d,
    "zero": nn.ZeroPad2d,
}


def get_pad_layer(pad_type):
    """The class of a padding layer, whose argument is a width or (left, right, top, bottom)."""
    if pad_type not in PADDINGS:
        raise ValueError(f"padding {pad_type!r}: choose one of {', '.join(PADDINGS)}")
    return PADDINGS[pad_type]


class Downsample(nn.Module):
    """Blur, then keep every stride-th pixel (Zhang, ICML 2019): (N, C, H, W) -> (N, C, ceil(H/2), ceil(W/2))."""

    def __init__(self, channels, pad_type="reflect", filt_size=3, stride=2, pad_off=0):
        super().__init__()
        before, after = (filt_size - 1) // 2 + pad_off, filt_size // 2 + pad_off
        self.stride = stride
        self.pad = get_pad_layer(pad_type)((before, after, before, after))
        self.register_buffer("filt", get_filter(filt_size).repeat(channels, 1, 1, 1))  # (C, 1, f, f), in checkpoints

    def forward(self, x):
        return F.conv2d(self.pad(x), self.filt, stride=self.stride, groups=x.shape[1])


class Upsample(nn.Module):
    """Insert zeros between the pixels, then blur: (N, C, H, W) -> (N, C, 2H, 2W)."""

    def __init__(self, channels, pad_type="repl", filt_size=4, stride=2):
        super().__init__()
        self.stride = stride
        self.pad = get_pad_layer(pad_type)((1, 1, 1, 1))
        # The factor stride^2 in the filter compensates for the zeros. The crop removes the padded border. With a filter
        # of odd size one row and column are missing, which output_padding adds.
        self.crop = 2 + (filt_size - 1) // 2
        self.extra = filt_size % 2
        self.register_buffer("filt", (get_filter(filt_size) * stride**2).repeat(channels, 1, 1, 1))

    def forward(self, x):
        return F.conv_transpose2d(
            self.pad(x), self.filt, stride=self.stride, padding=self.crop, output_padding=self.extra, groups=x.shape[1]
        )


FILL_WEIGHT = {
    "normal": lambda weight, gain: init.normal_(weight, 0.0, gain),
    "xavier": lambda weight, gain: init.xavier_normal_(weight, gain=gain),
    "kaiming": lambda weight, gain: init.kaiming_normal_(weight, a=0, mode="fan_in"),  # takes no gain
    "orthogonal": lambda weight, gain: init.orthogonal_(weight, gain=gain),
}


def init_weights(net, init_type="normal", init_gain=0.02, debug=False):
    """Draw the weights of every convolution and linear layer, set their biases to 0, and return the network.

    Layers are recognised by their class names, which includes layers of plug-ins. The scales of BatchNorm2d are drawn
    from N(1, init_gain); other norms, and layers with the attribute `keeps_initial_weights`, are not changed. `debug`
    prints the class of each initialised layer.
    """
    if init_type not in FILL_WEIGHT:
        raise ValueError(f"--init_type {init_type}: choose one of {', '.join(FILL_WEIGHT)}")
    for layer in net.modules():
        name = type(layer).__name__
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if not isinstance(weight, torch.Tensor) or getattr(layer, "keeps_initial_weights", False):
            continue
        if "Conv" in name or "Linear" in name:
            FILL_WEIGHT[init_type](weight.data, init_gain)
        elif "BatchNorm2d" in name:
            init.normal_(weight.data, 1.0, init_gain)
        else:
            continue
        if isinstance(bias, torch.Tensor):
            init.zeros_(bias.data)
        if debug:
            print(name)
    return net


def layer_indices(layers, count):
    """`layers` with -1 replaced by the index of the last of `count` layers; ValueError unless valid and ascending."""
    wanted = [count - 1 if index == -1 else index for index in layers]
    if not all(0 <= index < count for index in wanted):
        raise ValueError(f"layers {list(layers)}: this generator has layers 0 to {count - 1} (-1 is the last)")
    if sorted(set(wanted)) != wanted:
        raise ValueError(f"layers {list(layers)}: give every layer once, in ascending order")
    return wanted


def run_with_features(modules, x, layers, stop, recomputes=False):
    """(output, outputs of the layers with the indices `layers`); `stop`: no layer after the last of them is run.

    With `recomputes`, the layers between features and blocks use gradient checkpointing: autograd keeps the features
    and the inputs of blocks. A block with an attribute `recomputes` has gradient checkpointing of its own.
    """
    wanted = layer_indices(layers, len(modules))
    features, waiting = [], []  # waiting: layers of the next checkpoint
    for index, layer in enumerate(list(modules)[: wanted[-1] + 1 if stop else None]):
        if recomputes and not hasattr(layer, "recomputes"):
            waiting.append(layer)
        else:
            x, waiting = layer(recomputed(waiting, x)), []
        if index in wanted:
            x, waiting = recomputed(waiting, x), []
            features.append(x)
    return recomputed(waiting, x), features


def normalise_spectrally(net: nn.Module) -> bool:
    """Divide the weights of all convolutions and linear layers by their spectral norm (Miyato et al., ICLR 2018).

    The norm is estimated by one power iteration in each forward pass in training mode. A key ``x.weight`` of the state
    dict becomes ``x.parametrizations.weight.original``, and the state dict also contains the vectors of the iteration.
    Returns False for a network without such layers.
    """
    layers = [module for module in net.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        nn.utils.parametrizations.spectral_norm(layer)
    net.iterates_per_pass = True  # type: ignore[assignment]  # read by models/batches.py
    return bool(layers)
