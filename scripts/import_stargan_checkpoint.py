"""Make a run of the original StarGAN's checkpoint files, to test with it or to go on training:

    python scripts/import_stargan_checkpoint.py --from stargan_celeba_128/models/200000-G.ckpt --name celeba_128
    python test.py --dataroot my_photos --name celeba_128 --targets Blond_Hair

The critic's file (200000-D.ckpt) comes along if it lies beside. Sizes are read from the weights. The names of the
domains are not in them: give --selected_attrs or --domains, or both, unless they are the original's five attributes.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models import create_model
from options.parser import OptionParser
from options.train_options import TrainOptions
from util.domains import SELECTED
from util.errors import InputError, clear_errors
from util.flags import Int
from util.run import weights


def generator_sizes(state, path):
    """Flag -> number, read from the shapes of a generator's weights, and the width of its condition."""
    convolutions = [value for value in state.values() if value.dim() == 4]
    if not convolutions or "main.0.weight" not in state or "conv1.weight" in state:
        raise InputError(f"{path}: not the generator of a StarGAN; the original calls it <iterations>-G.ckpt")
    width, inputs = convolutions[0].shape[:2]
    channels = convolutions[-1].shape[0]
    blocks = sum(key.endswith(".main.0.weight") for key in state)
    sizes = {"g_conv_dim": width, "g_repeat_num": blocks, "input_nc": channels, "output_nc": channels}
    return sizes, inputs - channels


def critic_sizes(state, path):
    if "conv2.weight" not in state or "main.0.weight" not in state:
        raise InputError(f"{path}: not the critic of a StarGAN; the original calls it <iterations>-D.ckpt")
    layers = sum(key.startswith("main.") and key.endswith(".weight") for key in state)
    image_size = state["conv2.weight"].shape[2] * 2**layers
    return {"d_conv_dim": state["main.0.weight"].shape[0], "d_repeat_num": layers, "image_size": image_size}


def domain_words(options, width):
    """The flags that name the domains of a condition so wide; InputError if the names are not as many."""
    attributes, domains = options.selected_attrs, options.domains
    if not attributes and not domains and width == len(SELECTED):
        attributes = list(SELECTED)
    both = bool(attributes and domains)
    if len(attributes) + len(domains) + 2 * both != width:
        split = " (attributes, folders, and 2 for the mask)" if both else ""
        raise InputError(f"--selected_attrs, --domains: the weights are for {width} in all{split}; name as many")
    words = ["--selected_attrs", *attributes] * bool(attributes) + ["--domains", *domains] * bool(domains)
    return [*words, "--dataset_mode", "celeba_and_folders" if both else "celeba" if attributes else "labelled_folders"]


def import_run(options):
    """Write the run's folder; returns it."""
    paths = {"G": options.generator, "D": options.generator.replace("-G.ckpt", "-D.ckpt")}
    states = {"G": weights.strip_prefixes(weights.read_tensors(paths["G"]))}
    sizes, width = generator_sizes(states["G"], paths["G"])
    sizes["image_size"] = options.image_size
    if paths["D"] != paths["G"] and os.path.isfile(paths["D"]):
        states["D"] = weights.strip_prefixes(weights.read_tensors(paths["D"]))
        sizes |= critic_sizes(states["D"], paths["D"])
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
        print(f"{paths['D']}: not there, so nothing can tell the attributes of images without labels")
    return str(model.save_dir)


def main(command_line=None):
    parser = OptionParser(sys.argv[1:] if command_line is None else command_line)
    parser.description = "Make a run of the original StarGAN's checkpoint files."
    flag = parser.add_argument
    flag("--from", dest="generator", required=not parser.wants_help(), metavar="FILE", help="<iterations>-G.ckpt")
    flag("--name", required=not parser.wants_help(), help="name of the run to make")
    flag("--checkpoints_dir", default="./checkpoints", help="where the runs are kept")
    flag("--selected_attrs", nargs="+", default=[], help="names of its attributes, in their order")
    flag("--domains", nargs="+", default=[], help="names of its folders, in their order (the original sorts them)")
    flag("--image_size", type=Int(1), default=128, help="its image size; read from the critic's file if that is there")
    print(f"imported into {import_run(parser.parse_or_help())}")


if __name__ == "__main__":
    with clear_errors():
        main()
