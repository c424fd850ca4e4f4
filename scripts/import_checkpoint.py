"""Make a run of generator files that another program of this family trained, such as the originals' released ones:

    python scripts/import_checkpoint.py horse2zebra.pth --name horse2zebra
    python scripts/translate.py checkpoints/horse2zebra photos/ --output zebras

One file is one direction. Two files, latest_net_G_A.pth and latest_net_G_B.pth, are both directions of a CycleGAN.
The architecture is read from keys and shapes. What weights do not show is a flag: --no_dropout of a U-Net, and
--direction of the training. StarGAN's files: scripts/import_stargan_checkpoint.py.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models import create_model
from options.parser import OptionParser
from options.train_options import TrainOptions
from util.errors import InputError, clear_errors
from util.flags import SWITCH
from util.run import weights


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Make a run of generator files of this family of programs."
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="latest_net_G.pth, or two: latest_net_G_A.pth latest_net_G_B.pth")
    add("--name", help="name of the run to make (required)")
    add("--checkpoints_dir", default="./checkpoints", help="where the runs are kept")
    add("--direction", default="AtoB", help="AtoB | BtoA: the direction of the training")
    add("--no_dropout", **SWITCH, default=False, help="for a U-Net that was trained without dropout")
    options = parser.parse_or_help()
    if not options.name:
        raise InputError("--name: missing; give a name to the run that is made")
    if len(options.files) > 2:
        raise InputError(f"{len(options.files)} files: give one generator, or the two of a CycleGAN")
    return options


def read_flags(path):
    """(state dict, flags of its architecture) of a generator file."""
    from models.architectures.infer import generator_flags

    state = weights.strip_prefixes(weights.read_tensors(path))
    if "main.0.weight" in state:
        raise InputError(f"{path}: looks like StarGAN; use scripts/import_stargan_checkpoint.py --from {path}")
    try:
        return state, generator_flags(state)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def import_run(options):
    """Write the run's folder; returns it."""
    files = dict(zip(("G_A", "G_B") if len(options.files) == 2 else ("G",), options.files))
    _, flags = read_flags(options.files[0])
    if len(files) == 2:
        _, other = read_flags(files["G_B"])
        swapped = {**other, "input_nc": other["output_nc"], "output_nc": other["input_nc"]}
        if swapped != flags:
            raise InputError(f"{files['G_A']}, {files['G_B']}: not the two directions of one CycleGAN")
    flags.setdefault("no_dropout", options.no_dropout)
    flags["model"] = "cycle_gan" if len(files) == 2 else "pix2pix"
    size = 256 if str(flags["netG"]) != "unet_128" else 128
    flags |= {"direction": options.direction, "load_size": size, "crop_size": size}
    where = ["--dataroot", ".", "--checkpoints_dir", options.checkpoints_dir, "--name", options.name, "--device", "cpu"]
    run = TrainOptions([*where, *(word for flag, value in flags.items() for word in (f"--{flag}", str(value)))])
    model = create_model(run.parse())
    for name, path in files.items():
        net = getattr(model, f"net{name}")
        weights.load_weights(net, path)
        weights.save_weights(net, os.path.join(model.save_dir, f"latest_net_{name}.pth"))
    run.save()
    return str(model.save_dir)


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    print(f"imported into {import_run(options)}")


if __name__ == "__main__":
    with clear_errors():
        main()
