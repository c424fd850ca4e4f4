"""Convert checkpoint files of the original StarGAN to a run, for tests or further training:

    python scripts/import_stargan_checkpoint.py --from stargan_celeba_128/models/200000-G.ckpt --name celeba_128
    python test.py --dataroot my_photos --name celeba_128 --targets Blond_Hair

The discriminator's file (200000-D.ckpt) is also converted if it is in the same folder. Sizes are read from the weights.
The weights do not contain the names of the domains: give --selected_attrs or --domains, or both, unless they are the
five attributes of the original.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.flags import SELECTED
from models import create_model
from options.parser import OptionParser
from options.train_options import TrainOptions
from util.errors import InputError, clear_errors
from util.flags import Int
from util.run import weights


def generator_sizes(state, path):
    """Flag -> number, read from the shapes of a generator's weights, and the width of its condition."""
    convolutions = [value for value in state.values() if value.dim() == 4]
    if not convolutions or "main.0.weight" not in state or "conv1.weight" in state:
        raise InputError(f"{path}: not the generator of a StarGAN; the original names it <iterations>-G.ckpt")
    width, inputs = convolutions[0].shape[:2]
    channels = convolutions[-1].shape[0]
    blocks = sum(key.endswith(".main.0.weight") for key in state)
    sizes = {"g_conv_dim": width, "g_repeat_num": blocks, "input_nc": channels, "output_nc": channels}
    return sizes, inputs - channels


def discriminator_sizes(state, path):
    if "conv2.weight" not in state or "main.0.weight" not in state:
        raise InputError(f"{path}: not the discriminator of a StarGAN; the original names it <iterations>-D.ckpt")
    layers = sum(key.startswith("main.") and key.endswith(".weight") for key in state)
    image_size = state["conv2.weight"].shape[2] * 2**layers
    return {"d_conv_dim": state["main.0.weight"].shape[0], "d_repeat_num": layers, "image_size": image_size}


def domain_words(options, width):
    """The flags that name the domains of a condition of `width` channels; InputError if the number of names differs."""
    attributes, domains = options.selected_attrs, options.domains
    if not attributes and not domains and width == len(SELECTED):
        attributes = list(SELECTED)
    both = bool(attributes and domains)
    if len(attributes) + len(domains) + 2 * both != width:
        split = " (attributes, folders, and 2 for the mask)" if both else ""
        raise InputError(f"--selected_attrs, --domains: the weights are for {width} channels{split}; name as many")
    words = ["--selected_attrs", *attributes] * bool(attributes) + ["--domains", *domains] * bool(domains)
    return [*words, "--dataset_mode", "celeba_and_folders" if both else "celeba" if attributes else "labelled_folders"]


def import_run(options):
    """Write the folder of the run and return its path."""
    paths = {"G": options.generator, "D": options.generator.replace("-G.ckpt", "-D.ckpt")}
    states = {"G": weights.strip_prefixes(weights.read_tensors(paths["G"]))}
    sizes, width = generator_sizes(states["G"], paths["G"])
    sizes["image_size"] = options.image_size
    if paths["D"] != paths["G"] and os.path.isfile(paths["D"]):
        states["D"] = weights.strip_prefixes(weights.read_tensors(paths["D"]))
        sizes |= discriminator_sizes(states["D"], paths["D"])
    where = ["--dataroot", ".", "--checkpoints_dir", options.checkpoints_dir, "--name", options.name, "--device", "cpu"]
    numbers = [word for flag, value in sizes.items() for word in (f"--{flag}", str(value))]
    run = TrainOptions([*where, "--model", "stargan", *domain_words(options, width), *numbers])
    opt = run.parse()
    model = create_model(opt)
    for name in states:
        net = getattr(model, f"net{name}")
        weights.load_weights(net, paths[name])
        weights.save_weights(net, os.path.join(model.save_dir, f"latest_net_{name}.pth"))
    run.save()
    if "D" not in states:
        print(f"{paths['D']}: not found, so attributes of images without labels cannot be predicted")
    return str(model.save_dir)


def main(command_line=None):
    parser = OptionParser(sys.argv[1:] if command_line is None else command_line)
    parser.description = "Convert checkpoint files of the original StarGAN to a run."
    flag = parser.add_argument
    flag("--from", dest="generator", required=not parser.wants_help(), metavar="FILE", help="<iterations>-G.ckpt")
    flag("--name", required=not parser.wants_help(), help="name of the new run")
    flag("--checkpoints_dir", default="./checkpoints", help="folder of the runs")
    flag("--selected_attrs", nargs="+", default=[], help="names of the attributes, in the order of training")
    flag(
        "--domains",
        nargs="+",
        default=[],
        help="names of the folders, in training order (the original sorts them)",
    )
    flag("--image_size", type=Int(1), default=128, help="image size; read from the file of the discriminator if any")
    print(f"imported into {import_run(parser.parse_or_help())}")


if __name__ == "__main__":
    with clear_errors():
        main()
