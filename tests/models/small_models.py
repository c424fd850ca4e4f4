"""Small models from command lines, and training steps on noise."""

import torch

from models import create_model, prepare
from options.train_options import TrainOptions
from util.numerics import seeding

NETWORKS = "--ngf 2 --ndf 2 --netG resnet_6blocks --load_size 32 --crop_size 32 --init_gain 1 --seed 0".split()
SMALL = ["--netF_nc", "8", "--num_patches", "16", *NETWORKS]  # of a contrastive model


def options(folder, *words, made=TrainOptions):
    return made(["--dataroot", "none", "--checkpoints_dir", str(folder), "--device", "cpu", *words]).parse()


def build(folder, *words, small=SMALL):
    opt = options(folder, *small, *words)
    torch.manual_seed(0)
    model = create_model(opt)
    prepare(model, [], opt)
    return model


def feed(model, batch=None, size_A=(32, 32), size_B=(32, 32), dtype=torch.float):
    generator = torch.Generator().manual_seed(1)
    batch = batch or model.opt.batch_size
    for net in model.networks_by_name().values():
        net.to(dtype)
    sides = {
        side: torch.rand(batch, 3, *size, generator=generator, dtype=dtype) * 2 - 1
        for side, size in (("A", size_A), ("B", size_B))
    }
    model.set_input({**sides, "A_paths": ["a"] * batch, "B_paths": ["b"] * batch})
    return model


def train(model, steps=2, **fed):
    for step in range(steps):
        seeding.seed_step(0, step)
        feed(model, **fed)
        model.optimize_parameters()
    losses = model.get_current_losses()
    assert all(value == value and abs(value) < 1e6 for value in losses.values()), losses
    for name, net in model.networks_by_name().items():
        assert all(p.isfinite().all() for p in net.parameters()), name
    return losses
