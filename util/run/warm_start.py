"""--init_from: initialise the networks of a new run with the weights of another run, as far as they fit."""

import glob
import os
import re

from util.errors import InputError
from util.run import weights


def fill(nets, path, tag):
    """Load weights into {name: network} from a run's folder (files ``<tag>_net_<name>.pth``) or from one such file.

    Tensors that do not fit keep their initial values and are printed. InputError if no tensor fits.
    """
    from_run = os.path.isdir(path)
    files = files_in(path, tag) if from_run else {network_of(nets, path): path}
    taken = 0
    for name, net in nets.items():
        if name in files:
            taken += fill_one(name, net, files[name])
        elif from_run:
            print(f"--init_from: [{name}] keeps its initial weights, because {path} has no {tag}_net_{name}.pth")
    if not taken:
        raise InputError(f"--init_from {path}: nothing in it fits these networks; compare --model, --netG and --ngf")


def read(path):
    return weights.strip_prefixes(weights.read_tensors(path))


def files_in(folder, tag):
    """{network name: file} of the weights of a tag in a run's folder."""
    prefix = os.path.join(folder, f"{tag}_net_")
    found = {path[len(prefix) : -len(".pth")]: path for path in sorted(glob.glob(f"{glob.escape(prefix)}*.pth"))}
    if found:
        return found
    tags = sorted({os.path.basename(p).split("_net_")[0] for p in glob.glob(f"{glob.escape(folder)}/*_net_*.pth")})
    mend = f"it has those of {', '.join(tags)}; choose with --epoch" if tags else "it has no files <tag>_net_<name>.pth"
    raise InputError(f"--init_from {folder}: no weights of '{tag}' in it; {mend}")


def network_of(nets, path):
    """The name of the network that a file holds: from the file's name, or the network that takes most of its tensors.

    InputError if several networks take the same number of tensors.
    """
    named = re.fullmatch(r".*_net_(.+)\.pth", os.path.basename(path))
    if named and named[1] in nets:
        return named[1]
    state = read(path)
    counts = {name: len(fitting(net, state)) for name, net in nets.items()}
    best = [name for name, count in counts.items() if count == max(counts.values())]
    if len(best) != 1 or not counts[best[0]]:
        fit = f"fits {', '.join(best)} equally well" if counts[best[0]] else "fits none of the networks"
        raise InputError(
            f"--init_from {path}: it {fit}; rename it to <tag>_net_<name>.pth, where <name> is one of {', '.join(nets)}"
        )
    return best[0]


def fitting(net, state):
    """The tensors of a state dict whose key and shape fit the network."""
    own = weights.unwrap(net).state_dict()
    return {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}


def fill_one(name, net, path):
    """Load the tensors of a file that fit into a network, print the others, and return how many were loaded."""
    net = weights.unwrap(net)
    own = net.state_dict()
    state = weights.without_instance_norm_leftovers(net, read(path))
    fit = fitting(net, state)
    net.load_state_dict(fit, strict=False)
    notes = {
        "not in the file": [key for key in own if key not in state],
        "of another shape": [
            f"{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}" for key in own if key in state.keys() - fit
        ],
        "not in the network": [key for key in state if key not in own],
    }
    print(f"--init_from: [{name}] {len(fit)} of {len(own)} tensors from {path}")
    for title, keys in notes.items():
        if keys:
            print(f"    {title}: {', '.join(keys)}")
    return len(fit)
