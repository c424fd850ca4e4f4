"""Small trainings in float64 for comparing one process with two."""

import collections
import contextlib
import sys
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch
from parity_tools import uniform

from models import create_model, losses, prepare
from models.architectures import stylegan2_layers
from options.train_options import TrainOptions
from util.numerics import seeding
from util.processes import distributed

STEPS = 5
NETS = (
    "--netG resnet_4blocks --ngf 4 --ndf 4 --load_size 32 --crop_size 32 --norm instance --no_dropout --pool_size 0"
).split()
PATCHES = [*NETS, "--num_patches", "16", "--netF_nc", "16"]
PATCHES[1] = "resnet_6blocks"  # the layers whose features are compared
SINCUT = (
    "--dataset_mode unaligned --preprocess resize_and_crop --ngf 1 --ndf 1 --load_size 32 --crop_size 32 "
    "--netF_nc 16 --num_patches 4 --lazy_R1 2"
).split()
STARGAN = "--image_size 32 --g_conv_dim 4 --d_conv_dim 4 --d_repeat_num 4 --n_critic 2 --lambda_gp 10".split()

# Command lines for comparing batch size 1 on each process with one process that has the whole batch.
EQUAL = {
    "pix2pix": ["--model", "pix2pix", *NETS],
    "pix2pix features": [
        "--model",
        "pix2pix",
        *NETS,
        *"--num_D 2 --lambda_feat 10 --netD n_layers --n_layers_D 1".split(),
    ],
    "cycle_gan": ["--model", "cycle_gan", *NETS],
    "cycle_gan wgangp": ["--model", "cycle_gan", *NETS, "--gan_mode", "wgangp", "--lambda_gp", "10"],
    "cut": ["--model", "cut", *PATCHES],
    "cut all negatives": ["--model", "cut", *PATCHES, "--nce_includes_all_negatives_from_minibatch"],
    "fastcut": ["--model", "fastcut", *PATCHES],
    "sincut": ["--model", "sincut", *SINCUT],
    "sincut own negatives": ["--model", "sincut", *SINCUT, "--nce_includes_all_negatives_from_minibatch", "no"],
    "dclgan": ["--model", "dclgan", *PATCHES],
    "simdcl": ["--model", "simdcl", *PATCHES],
    "stargan": ["--model", "stargan", *STARGAN],
    "template": ["--model", "template", *NETS],
}


# Collectives of a step of two processes: (in flight while the processes compute, waited for). A step exchanges its
# images' shapes and, for each set of parameters that is stepped, one bucket: gradients, flags and loss. DCLGAN, SimDCL
# gather the patches of 4 layers in 2 directions; StarGAN's labels are permuted over all ranks.
EXCHANGES = {
    **{"pix2pix": (3, 0), "cycle_gan": (3, 0), "cut": (3, 0), "template": (2, 0)},
    **{"dclgan": (3, 8), "simdcl": (3, 8), "stargan": (3, 1)},
}

# Command lines of captured steps: pools and parts; patches of all processes; two kinds of steps.
CAPTURED = {
    "cycle_gan": ["--model", "cycle_gan", *NETS, "--pool_size", "3", "--accumulate", "2"],
    "dclgan": ["--model", "dclgan", *PATCHES],
    "stargan": ["--model", "stargan", *STARGAN],
}

IN_PARTS = ("pix2pix", "cycle_gan", "cut", "fastcut", "sincut own negatives", "stargan", "template")

# Command lines with dropout, batch norm or image pools, which differ between processes.
POOLED = [word if word != "0" else "3" for word in NETS]
MIXED = {
    "pix2pix": "--model pix2pix --netG resnet_4blocks --ngf 4 --ndf 4 --load_size 32 --crop_size 32".split(),
    "cycle_gan": ["--model", "cycle_gan", *POOLED, "--normG", "batch", "--no_dropout", "no"],
    "cut": ["--model", "cut", *PATCHES],
    "fastcut": ["--model", "fastcut", *PATCHES],
    "dclgan": ["--model", "dclgan", *PATCHES, "--pool_size", "3"],
    "simdcl": ["--model", "simdcl", *PATCHES, "--pool_size", "3"],
    "stargan": EQUAL["stargan"],
    "template": ["--model", "template", *NETS],
}


def build(words, batch_size, double=True):
    """A model, prepared as in train.py."""
    where = ["--dataroot", "none", "--device", "cpu", "--seed", "5", "--name", "cases"]
    opt = TrainOptions([*words, *where, "--batch_size", str(batch_size)]).parse()
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, [], opt)
    for net in model.networks_by_name().values() if double else ():
        net.double()
    if hasattr(model, "draw_gp_alpha"):
        model.draw_gp_alpha = lambda images: torch.full((images, 1, 1, 1), 0.3)
    return model


def frozen(model):
    """The model with a parameter of its optimizer that requires no gradient."""
    next(model.netG.parameters()).requires_grad_(False)
    return model


@contextlib.contextmanager
def same_draws_for_every_image():
    """Replace random numbers that are drawn for each sample, which differ between processes, by constants."""
    alpha, losses.draw_alpha = losses.draw_alpha, lambda samples, device: torch.full((samples, 1), 0.3)
    noise, stylegan2_layers.draw_noise = stylegan2_layers.draw_noise, lambda x: torch.full_like(x[:, :1], 0.7)
    try:
        yield
    finally:
        losses.draw_alpha, stylegan2_layers.draw_noise = alpha, noise


def batch(step, images, dtype):
    """All images of a step."""
    size = (images, 3, 32, 32)
    A, B = uniform(2 * step, size).to(dtype), uniform(2 * step + 1, size).to(dtype)
    label = (uniform(step, (images, 5)) > 0).to(dtype)
    names = [f"image {i}" for i in range(images)]
    return {"A": A, "B": 0.5 * B - 0.3, "label": label, "A_paths": names, "B_paths": names}


def steps(model, own, images, count=STEPS, counted=None):
    """Train on `count` batches of `images` images; this process gets those of the slice `own`, and counts `counted`."""
    dtype = next(model.netG.parameters() if hasattr(model, "netG") else model.netG_A.parameters()).dtype
    for step in range(1, count + 1):
        distributed.set_step_images(len(range(images)[own if counted is None else counted]), images)
        seeding.seed_step(model.opt.seed, step, distributed.rank())
        part = {name: value[own] for name, value in batch(step, images, dtype).items()}
        distributed.compare_step_shapes(part)
        model.set_input(part)
        model.optimize_parameters()


COLLECTIVES = (
    *("all_reduce", "all_gather", "broadcast", "reduce", "gather", "scatter", "barrier", "send", "recv"),
    *("all_gather_object", "gather_object", "broadcast_object_list", "all_gather_into_tensor", "reduce_scatter"),
)


@contextlib.contextmanager
def counted_collectives():
    """Counter of (name, whether the call returns before the exchange is done) of what torch.distributed exchanges."""
    calls, dist = collections.Counter(), torch.distributed
    with contextlib.ExitStack() as stack:
        for name in COLLECTIVES:
            stack.enter_context(mock.patch.object(dist, name, _counting(calls, name)))
        yield calls


def _counting(calls, name):
    original = getattr(torch.distributed, name)

    def counting(*args, **kwargs):
        calls[name, kwargs.get("async_op", False)] += 1
        return original(*args, **kwargs)

    return counting


def parameters(model):
    return {
        f"{name}.{key}": parameter.detach().clone()
        for name, net in model.networks_by_name().items()
        for key, parameter in net.named_parameters()
    }
