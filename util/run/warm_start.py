"""--init_from: a new run that begins with the weights of another, as far as they fit."""

import glob
import os
import re

from util.errors import InputError
from util.run import weights


def fill(nets, path, tag):
    """Fill {name: network} from a run's folder (``<tag>_net_<name>.pth`` each) or from the file of one network.

    What fits is taken, the rest keeps its fresh weights and is listed. InputError where nothing fits.
    """
    files = files_in(path, tag) if os.path.isdir(path) else {None: path}
    taken = 0
    if None in files:
        state = weights.strip_prefixes(weights.read_tensors(path))
        name = network_of(nets, path, state)
        taken = fill_one(name, nets[name], state, path)
    else:
        for name, net in nets.items():
            if name not in files:
                print(f"--init_from: [{name}] begins anew, {path} has no {tag}_net_{name}.pth")
                continue
            taken += fill_one(name, net, weights.strip_prefixes(weights.read_tensors(files[name])), files[name])
    if not taken:
        raise InputError(f"--init_from {path}: nothing in it fits these networks; compare --model, --netG and --ngf")


def files_in(folder, tag):
    """{network name: file} of a run's weights of that tag."""
    prefix = os.path.join(folder, f"{tag}_net_")
    found = {path[len(prefix) : -len(".pth")]: path for path in sorted(glob.glob(f"{glob.escape(prefix)}*.pth"))}
    if found:
        return found
    tags = sorted({os.path.basename(p).split("_net_")[0] for p in glob.glob(f"{glob.escape(folder)}/*_net_*.pth")})
    there = f"there are those of {', '.join(tags)}; see --epoch" if tags else "there are none of any"
    raise InputError(f"--init_from {folder}: no weights of '{tag}' in it; {there}")


def network_of(nets, path, state):
    """The network a file belongs to: the one in its name, else the only one that takes most of its tensors."""
    named = re.fullmatch(r".*_net_(.+)\.pth", os.path.basename(path))
    if named and named[1] in nets:
        return named[1]
    counts = {name: len(fitting(net, state)) for name, net in nets.items()}
    best = [name for name, count in counts.items() if count == max(counts.values())]
    if len(best) != 1 or not counts[best[0]]:
        fit = f"fits {', '.join(best)} alike" if counts[best[0]] else "fits none of the networks"
        raise InputError(f"--init_from {path}: {fit}; name it <tag>_net_<name>.pth, with a name of {', '.join(nets)}")
    return best[0]


def fitting(net, state):
    own = weights.unwrap(net).state_dict()
    return {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}


def fill_one(name, net, state, path):
    """Load what fits into one network, print what doesn't, and return how many tensors were taken."""
    net = weights.unwrap(net)
    own = net.state_dict()
    state = weights.without_instance_norm_leftovers(net, state)
    fit = fitting(net, state)
    net.load_state_dict(fit, strict=False)
    notes = {
        "not in the file": [key for key in own if key not in state],
        "of another shape": [
            f"{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}" for key in own if key in state.keys() - fit
        ],
        "unknown here": [key for key in state if key not in own],
    }
    print(f"--init_from: [{name}] {len(fit)} of {len(own)} tensors from {path}")
    for title, keys in notes.items():
        if keys:
            print(f"    {title}: {', '.join(keys)}")
    return len(fit)
