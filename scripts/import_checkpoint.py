"""Convert weight files of the original programs, for example released ones, to a run:

    python scripts/import_checkpoint.py horse2zebra.pth
    python scripts/translate.py checkpoints/horse2zebra photos/ --output zebras

FILE is a generator, or the folder of its run. A single generator becomes a run of one direction; latest_net_G_A.pth
with latest_net_G_B.pth becomes a CycleGAN or DCLGAN; <iterations>-G.ckpt becomes a StarGAN. The architecture is read
from keys and shapes. Flags give what weights do not contain: --no_dropout of a U-Net, --direction of the training, the
names of StarGAN's domains. Discriminators and projectors in the same folder are imported, too, for --init_from. Only
tensors are read: a file that would run code is refused.
"""

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.flags import SELECTED
from models import create_model
from options.parser import OptionParser
from options.train_options import TrainOptions
from util.errors import InputError, clear_errors
from util.flags import SWITCH, Int
from util.run import weights

ONE_WAY, TWO_WAY = ("pix2pix", "cut", "fastcut"), ("cycle_gan", "dclgan", "simdcl")
NAMED = re.compile(r"(?P<tag>.+)_net_(?P<net>G|G_A|G_B)\.pth|(?P<iterations>\d+)-(?P<star>G)\.ckpt")


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Convert weight files of the original programs to a run."
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="a generator, both of a CycleGAN (G_A, G_B), or a run's folder")
    add("--name", help="name of the run to make (none given: that of the file or its folder)")
    add("--checkpoints_dir", default="./checkpoints", help="where the runs are kept")
    add("--epoch", default="latest", help="which checkpoint of a folder")
    add("--model", help=f"{' | '.join(ONE_WAY + TWO_WAY)} (none given: read from the weights)")
    add("--direction", default="AtoB", help="AtoB | BtoA: the direction of the training")
    add("--no_dropout", **SWITCH, default=False, help="for a U-Net that was trained without dropout")
    add("--selected_attrs", nargs="+", default=[], help="StarGAN's attributes, in the order of training")
    help = "StarGAN's folders, in the order of training (the original sorts them)"
    add("--domains", nargs="+", default=[], help=help)
    add("--image_size", type=Int(1), default=128, help="StarGAN's; read from the file of the discriminator if any")
    options = parser.parse_or_help()
    options.files = generators_in(options.files, options.epoch)
    options.name = options.name or name_of(options.files[0])
    return options


def generators_in(paths, epoch):
    """The generator files of the command line, or those in the given folder: one, or G_A and G_B."""
    if len(paths) == 1 and os.path.isdir(paths[0]):
        names = sorted(os.listdir(paths[0]))
        found = [name for name in names if (match := NAMED.fullmatch(name)) and match["tag"] == epoch]
        found = found or sorted((name for name in names if name.endswith("-G.ckpt")), key=_iterations)[-1:]
        if not found:
            raise InputError(f"{paths[0]}: no generator of '{epoch}' in this folder ({epoch}_net_G.pth); see --epoch")
        paths = [os.path.join(paths[0], name) for name in found]
    if len(paths) > 2:
        raise InputError(f"{len(paths)} files: give one generator, or the two of a CycleGAN")
    return paths


def _iterations(name):
    return int(re.sub(r"\D", "", name) or 0)


def name_of(path):
    """The name of the run: that of the file, or of its folder if the file has a standard name."""
    folder, name = os.path.split(os.path.abspath(path))
    folder = os.path.dirname(folder) if os.path.basename(folder) == "models" else folder  # StarGAN's <run>/models
    return os.path.basename(folder) if NAMED.fullmatch(name) else os.path.splitext(name)[0]


def read(path, about):
    """(state dict, flags) of a file, by `about(state dict)`; InputError for other files."""
    state = weights.strip_prefixes(weights.read_tensors(path))
    try:
        return state, about(state)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def read_generators(options):
    """({network: file}, flags of their architecture)."""
    from models.architectures import infer

    state, flags = read(options.files[0], infer.generator_flags)
    if infer.is_stargan(state):
        if len(options.files) > 1:
            raise InputError(f"{options.files[1]}: a StarGAN has one generator; give only {options.files[0]}")
        names = domain_flags(options, infer.stargan_condition(state))
        return {"G": options.files[0]}, {**flags, "image_size": options.image_size, **names, "model": "stargan"}
    size = 128 if str(flags["netG"]) == "unet_128" else 256
    flags |= {"direction": options.direction, "load_size": size, "crop_size": size}
    flags.setdefault("no_dropout", options.no_dropout)
    blurs = not (flags.get("no_antialias", True) and flags.get("no_antialias_up", True))
    if len(options.files) == 1:
        return {"G": options.files[0]}, {**flags, "model": chosen(options, ONE_WAY, "cut" if blurs else "pix2pix")}
    _, other = read(options.files[1], infer.generator_flags)
    swapped = {**other, "input_nc": other["output_nc"], "output_nc": other["input_nc"]}
    if not swapped.items() <= flags.items():
        raise InputError(f"{', '.join(options.files)}: not the two directions of one CycleGAN")
    files = dict(zip(("G_A", "G_B"), options.files))
    return files, {**flags, "model": chosen(options, TWO_WAY, "dclgan" if blurs else "cycle_gan")}


def chosen(options, possible, default):
    """--model, or the default; InputError if the model has another number of generators."""
    if options.model is not None and options.model not in possible:
        count = "one generator" if possible is ONE_WAY else "two generators"
        raise InputError(f"--model {options.model}: {count} can be {', '.join(possible)}")
    return options.model or default


def domain_flags(options, width):
    """The flags with the names of the domains; InputError if they do not give a condition of `width` channels."""
    attributes, domains = options.selected_attrs, options.domains
    if not attributes and not domains and width == len(SELECTED):
        attributes = list(SELECTED)
    both = bool(attributes and domains)
    if len(attributes) + len(domains) + 2 * both != width:
        split = " (attributes, folders, and 2 for the mask)" if both else ""
        raise InputError(f"--selected_attrs, --domains: the weights are for {width} channels{split}; name as many")
    mode = "celeba_and_folders" if both else "celeba" if attributes else "labelled_folders"
    named = {"selected_attrs": attributes, "domains": domains}
    return {"dataset_mode": mode, **{flag: names for flag, names in named.items() if names}}


def companions(files):
    """{network: file} of the discriminators and projectors beside the generators, by their standard names."""
    folder, name = os.path.split(files.get("G_A") or files["G"])
    match = NAMED.fullmatch(name)
    if not match:
        return {}
    if match["star"]:
        names = {"D": f"{match['iterations']}-D.ckpt"}
    else:
        names = {net: f"{match['tag']}_net_{net}.pth" for net in ("D", "D_A", "D_B", "F", "F1", "F2")}
    found = {net: os.path.join(folder, name) for net, name in names.items()}
    return {net: path for net, path in found.items() if os.path.isfile(path)}


def import_run(options):
    """Write the run's folder; returns it."""
    missing = [path for path in options.files if not os.path.isfile(path)]
    if missing:
        raise InputError(f"{missing[0]}: no such checkpoint file or folder of a run")
    files, flags = read_generators(options)
    others, of_discriminator = read_companions(files)
    where = ["--dataroot", ".", "--checkpoints_dir", options.checkpoints_dir, "--name", options.name, "--device", "cpu"]
    run = TrainOptions([*where, *words_of({**flags, **of_discriminator})])
    model = create_model(run.parse())
    for name, path in files.items():
        load(model, name, path)
    for name, path in list(others.items()):
        try:
            load(model, name, path)
        except InputError as error:
            print(f"left out: {error}")
            del others[name]
    for name in [*files, *others]:
        weights.save_weights(getattr(model, f"net{name}"), os.path.join(model.save_dir, f"latest_net_{name}.pth"))
    run.save()
    if flags["model"] == "stargan" and "D" not in others:
        print("no discriminator was found, so attributes of images without labels cannot be predicted")
    return str(model.save_dir)


def read_companions(files):
    """({network: file} beside the generators, flags of the discriminator); unsuitable files are left out."""
    from models.architectures import infer

    others = companions(files)
    flags = {}
    for net in [net for net in others if net.startswith("D")]:
        try:
            flags = read(others[net], infer.discriminator_flags)[1]
        except InputError as error:
            print(f"left out: {error}")
            del others[net]
    return others, flags


def words_of(flags):
    """Flags as words of a command line."""
    return [
        word
        for flag, value in flags.items()
        for word in (f"--{flag}", *(value if isinstance(value, list) else [value]))
    ]


def load(model, name, path):
    net = getattr(model, f"net{name}", None)
    if net is None:
        raise InputError(f"{path}: --model {model.opt.model} has no network {name}")
    weights.load_weights(net, path)


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    print(f"imported into {import_run(options)}")


if __name__ == "__main__":
    with clear_errors():
        main()
