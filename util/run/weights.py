"""Weights on disk: each ``<tag>_net_<name>.pth`` holds the state dict of one network, as in the original programs."""

import contextlib
import os
import zipfile

import torch
from torch.utils._pytree import tree_flatten

from util.errors import InputError
from util.files import replacing
from util.run import folder as run_folder

WRAPPERS = ("module.", "_orig_mod.")  # prefixes that DataParallel/DDP and torch.compile add to every key


def save_weights(net, path):
    """Write a network's state dict, with its tensors on the CPU, atomically."""
    state = {key: value.detach().cpu() for key, value in unwrap(net).state_dict().items()}
    with replacing(path, size_in_bytes(state)) as file:
        write_tensors(state, file)


def size_in_bytes(value):
    """The total size of the tensors in nested lists and dicts."""
    leaves, _ = tree_flatten(value)
    return sum(leaf.numel() * leaf.element_size() for leaf in leaves if isinstance(leaf, torch.Tensor))


def write_tensors(state, file):
    """torch.save to an open file; raises OSError on a full disk."""
    with torch_writes():
        torch.save(state, file)


@contextlib.contextmanager
def torch_writes():
    """Raise OSError for a full disk: torch's zip writer raises a RuntimeError instead."""
    try:
        yield
    except RuntimeError as error:
        if not any(word in str(error) for word in ("inline_container", "PytorchStreamWriter", "iostream")):
            raise
        hidden = error.__context__
        raise hidden if isinstance(hidden, OSError) else OSError("the disk may be full") from error


def tag_of(opt):
    """The tag of the checkpoint that the options name: iter_<load_iter>, or the value of --epoch."""
    return f"iter_{opt.load_iter}" if opt.load_iter > 0 else opt.epoch


def load_weights(net, path):
    """Load a file of ours or of the original programs into `net`; InputError names the keys that do not fit.

    Prefixes of wrappers are dropped. So are running statistics of instance norms, which PyTorch kept before 0.4, where
    the module has none. Only tensors are read: a pickle that would run code is refused.
    """
    fit(net, strip_prefixes(read_tensors(path)), path)


def fit(net, state, path):
    """Load a state dict that was read from `path` into a network; InputError names the keys that differ."""
    net = unwrap(net)
    try:
        net.load_state_dict(without_instance_norm_leftovers(net, state))
    except RuntimeError as error:
        raise InputError(
            f"{path}: these weights don't fit the network. {explain_mismatch(net, state, error)}"
        ) from None


def read_tensors(path):
    """The state dict in a file, on the CPU; raises InputError if the file is damaged or holds anything else."""
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such checkpoint; {_checkpoints_beside(path)}")
    _check_whole(path)
    state = read_plain(path)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path}: not the weights of one network (a dictionary of tensors)")
    return state


def read_plain(path, mmap=False):
    """Read a file with torch.load; InputError if it is damaged or holds anything but tensors and plain values."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # unpickling and unzipping fail in many ways
        reason = "it holds more than tensors" if "weights_only" in str(error).lower() else "damaged or not a checkpoint"
        raise InputError(f"{path}: refused, {reason}") from None


def unreadable(path):
    """The reason why a file can't be read, without a look at its manifest; None if it can."""
    try:
        return run_folder.broken_inside(path) or (read_plain(path) and None)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")


def _check_whole(path):
    """Raise InputError for a damaged file.

    The file is compared with its manifest and with the checksums that a zip file contains. Files of old or other
    programs may have neither.
    """
    folder, name = os.path.split(path)
    tag, _, net = name.rpartition("_net_")
    known = run_folder.listed(path, tag) if net else None
    if (known is None and not zipfile.is_zipfile(path)) or (known and run_folder.as_listed(path, tag)):
        return
    trouble = unreadable(path) if known else run_folder.broken_inside(path)
    if trouble:
        others = [f"--load_iter {t[5:]}" if t.startswith("iter_") else f"--epoch {t}" for t in _others(folder, tag)]
        mend = f"whole in this folder: {', '.join(others)}" if others else "no other checkpoint in this folder is whole"
        raise InputError(f"{path}: {trouble}; {mend}")
    if known:
        print(f"{path}: readable, but not the file that {tag}_manifest.json lists: replaced, or the save was cut short")


def _others(folder, tag):
    return [other for other in run_folder.whole_exports(folder) if other != tag][:5]


def strip_prefixes(state):
    """The state dict without the prefixes of wrappers.

    The result has no ``_metadata``, so that PyTorch accepts batch norms without num_batches_tracked (before 0.4.1).
    """
    stripped = {}
    for key, value in state.items():
        while key.startswith(WRAPPERS):
            key = key.split(".", 1)[1]
        stripped[key] = value
    return stripped


def unwrap(net):
    """The network inside the wrappers (DataParallel, DDP, torch.compile) that a plug-in may put around it."""
    while True:
        inner = getattr(net, "module", None) if isinstance(net, _PARALLEL) else getattr(net, "_orig_mod", None)
        if inner is None:
            return net
        net = inner


_PARALLEL = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)


def without_instance_norm_leftovers(net, state):
    """The state dict without the running statistics of instance norms that have none in this network."""
    leftovers = set()
    for name, module in net.named_modules():
        if "InstanceNorm" in type(module).__name__ and module.running_mean is None:
            prefix = f"{name}." if name else ""
            leftovers |= {prefix + buffer for buffer in ("running_mean", "running_var", "num_batches_tracked")}
    return {key: value for key, value in state.items() if key not in leftovers}


def explain_mismatch(net, state, error):
    """How the saved network and the network that was built differ, and the flags that may be the cause."""
    own = net.state_dict()
    missing, extra = own.keys() - state.keys(), state.keys() - own.keys()
    shapes = [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    if not missing and not extra and shapes:
        key = shapes[0]
        flags = "--ngf / --ndf" if own[key].shape[1:] != state[key].shape[1:] else "--output_nc or --ngf / --ndf"
        if key in (next(iter(own)), list(own)[-1]):
            flags = "--input_nc / --output_nc, " + flags
        return f"{key} is {tuple(state[key].shape)} in the file and {tuple(own[key].shape)} here: compare {flags}"
    hint = _hint(missing, extra)
    lacking, unknown = (", ".join(sorted(keys)[:2]) or "none" for keys in (missing, extra))
    return f"{len(missing)} keys are missing ({lacking}), {len(extra)} are unknown ({unknown}): {hint}"


def _hint(missing, extra):
    def only_in_one(part):
        return any(part in key for key in missing) != any(part in key for key in extra)

    if only_in_one("running_mean"):
        return "only one of the two has batch normalisation, compare --norm"
    if only_in_one(".filt"):
        return "only one of the two is antialiased, compare --no_antialias and --no_antialias_up"
    if only_in_one("conv_block.6.weight"):
        return "dropout moves the layers of a ResNet block, compare --no_dropout"
    return "compare --netG / --netD, --n_layers_D, --norm and --no_dropout"


def _checkpoints_beside(path):
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"there is no run folder {folder}, compare --name and --checkpoints_dir"
    found = sorted(name for name in os.listdir(folder) if name.endswith(".pth"))
    if not found:
        return f"{folder} holds no checkpoints"
    return f"the folder holds {', '.join(found[:6])}{' ...' if len(found) > 6 else ''}; compare --epoch and --model"
