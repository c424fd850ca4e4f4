"""Small runs with random weights, for tests of commands that need a trained run."""

import contextlib
import io

import torch

from models import create_model
from options.train_options import TrainOptions

CUT = ("--model", "cut", "--netG", "resnet_4blocks", "--netF_nc", "8", "--nce_layers", "0")
CYCLE_GAN = ("--model", "cycle_gan", "--netG", "resnet_4blocks", "--no_dropout")
PIX2PIX = ("--model", "pix2pix", "--netG", "unet_128", "--norm", "batch")
STARGAN = ("--model", "stargan", "--dataset_mode", "celeba", "--selected_attrs", "Male", "Young", "--g_conv_dim", "4")
SMALL = ("--ngf", "4", "--ndf", "4", "--dataroot", ".", "--device", "cpu")


def make_run(folder, *words, name="run", small=SMALL):
    """The folder of a run that was never trained; the same words give the same weights."""
    with contextlib.redirect_stdout(io.StringIO()):
        options = TrainOptions([*small, "--checkpoints_dir", str(folder), "--name", name, *words])
        torch.manual_seed(0)
        model = create_model(options.parse())
        model.save_networks("latest")
        options.save()
    return folder / name
