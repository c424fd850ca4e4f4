"""Weights on disk: ``<tag>_net_<name>.pth``, a bare state dict a file, as the original programs write and read it."""

import os

import torch

from util.errors import InputError
from util.files import replacing

WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel/DDP and torch.compile put before every key


def save_weights(net, path):
    """Write a network's state dict, on the CPU, atomically."""
    state = {key: value.detach().cpu() for key, value in unwrap(net).state_dict().items()}
    with replacing(path) as file:
        write_tensors(state, file)


def write_tensors(state, file):
    """torch.save to an open file; a full disk is an OSError, which torch's zip writer hides in a RuntimeError."""
    try:
        torch.save(state, file)
    except RuntimeError as error:
        raise OSError(f"the weights did not fit: {str(error).splitlines()[0]}") from error


def tag_of(opt):
    """Which checkpoint the options name: iter_<load_iter>, or the word of --epoch."""
    return f"iter_{opt.load_iter}" if opt.load_iter > 0 else opt.epoch


def load_weights(net, path):
    """Fill `net` from a file of ours or of the original programs; raises InputError that says what does not fit.

    Prefixes of wrappers are dropped, and so are the running statistics that instance norms kept before PyTorch 0.4,
    wherever the module itself has none. Only tensors are read: a pickle that would run code is refused.
    """
    fit(net, strip_prefixes(read_tensors(path)), path)


def fit(net, state, path):
    """Put a state dict that was read from `path` into a network, or raise an InputError that says what differs."""
    net = unwrap(net)
    try:
        net.load_state_dict(without_instance_norm_leftovers(net, state))
    except RuntimeError as error:
        raise InputError(
            f"{path}: these weights don't fit the network. {explain_mismatch(net, state, error)}"
        ) from None


def read_tensors(path):
    """The state dict in a file, on the CPU."""
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such checkpoint;{_what_is_there(path)}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling and unzipping fail in many ways
        reason = "it holds more than tensors" if "weights_only" in str(error).lower() else "damaged or not a checkpoint"
        raise InputError(f"{path}: refused, {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path}: not the weights of one network (a dictionary of tensors)")
    return state


def strip_prefixes(state):
    """The same tensors without wrappers' prefixes. A plain dict: without ``_metadata``, old batch norms load too."""
    stripped = {}
    for key, value in state.items():
        while key.startswith(WRAPPERS):
            key = key.split(".", 1)[1]
        stripped[key] = value
    return stripped


def unwrap(net):
    """The network itself, if a plug-in put DataParallel, DDP or torch.compile around it."""
    while True:
        inner = getattr(net, "module", None) if isinstance(net, _PARALLEL) else getattr(net, "_orig_mod", None)
        if inner is None:
            return net
        net = inner


_PARALLEL = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)


def without_instance_norm_leftovers(net, state):
    """The state without running statistics of those instance norms that keep none themselves."""
    leftovers = set()
    for name, module in net.named_modules():
        if "InstanceNorm" in type(module).__name__ and module.running_mean is None:
            prefix = f"{name}." if name else ""
            leftovers |= {prefix + buffer for buffer in ("running_mean", "running_var", "num_batches_tracked")}
    return {key: value for key, value in state.items() if key not in leftovers}


def explain_mismatch(net, state, error):
    """Which flag probably differs between the network that was saved and the one that was built."""
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
    def differ(sign):
        return any(sign(key) for key in missing) != any(sign(key) for key in extra)

    if differ(lambda key: "running_mean" in key):
        return "only one of the two has batch normalisation, compare --norm"
    if differ(lambda key: key.endswith(".filt")):
        return "only one of the two is antialiased, compare --no_antialias and --no_antialias_up"
    if differ(lambda key: "conv_block.6.weight" in key):
        return "dropout moves the layers of a ResNet block, compare --no_dropout"
    return "compare --netG / --netD, --n_layers_D, --norm and --no_dropout"


def _what_is_there(path):
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f" there is no run folder {folder}, compare --name and --checkpoints_dir"
    found = sorted(name for name in os.listdir(folder) if name.endswith(".pth"))
    if not found:
        return f" {folder} holds no checkpoints"
    return f" found there: {', '.join(found[:6])}{' ...' if len(found) > 6 else ''}; compare --epoch and --model"
