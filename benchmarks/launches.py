"""Operations that a training step launches on a GPU, counted without a GPU (see fake_cuda.py).

At 256 pixels and batch 1 a step is bound by launches: each costs the host about 5 microseconds, for any size. The
counts do not depend on the width of the networks. The step of the originals is that of reference.py, without its
synchronising reads.
"""

import argparse
import collections
import functools

import fake_cuda
import harness
import reference
import torch
import workload
from torch.utils._python_dispatch import TorchDispatchMode

# Operations that launch nothing on the device, besides views.
NO_LAUNCH = (
    "prim::",
    "profiler::",
    "aten::empty",
    "aten::new_empty",
    "aten::detach",
    "aten::lift",
    "aten::is_same_size",
)
VIEWS = ("aten::_unsafe_view", "aten::_reshape_alias")
READS = ("aten::_local_scalar_dense", "aten::equal", "aten::nonzero", "aten::masked_select", "aten::is_nonzero")

ORIGINALS, OWN = "originals'", "own"


class Launches(TorchDispatchMode):
    """Counts the operations that launch work on the device while it is entered: ``counts`` {operation: number}."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name, named = function._schema.name, fake_cuda.on_device_in_backward(named or {})
        if name.startswith(READS) or has_mask(name, arguments):
            raise fake_cuda.HostRead(f"{name}: its result depends on numbers on the device")
        copy = name in ("aten::_to_copy", "aten::copy_")
        if copy:
            check_copy(name, arguments, named)
        if not (copy and changes_nothing(name, arguments, named)) and launches(function, arguments, named):
            self.counts[name.removeprefix("aten::")] += 1
        return function(*arguments, **named)

    @property
    def total(self):
        return sum(self.counts.values())


def launches(function, arguments, named):
    name = function._schema.name
    if name.startswith(NO_LAUNCH) or name in VIEWS or function.is_view:
        return False
    found = [*arguments, *named.values()]
    found += [each for value in found if isinstance(value, (list, tuple)) for each in value]
    on_device = any(isinstance(value, torch.Tensor) and value.is_cuda for value in found)
    return on_device or any(getattr(value, "type", None) == "cuda" for value in found)


def has_mask(name, arguments):
    """Whether a tensor is indexed by booleans: only the device knows the shape of the result."""
    if not name.startswith("aten::index"):
        return False
    indices = [index for value in arguments[1:] if isinstance(value, (list, tuple)) for index in value]
    return any(isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices)


def source_and_target(name, arguments, named):
    """(device of the source, device of the target) of a copy."""
    if name == "aten::copy_":
        return arguments[1].device, arguments[0].device
    return arguments[0].device, torch.device(named.get("device") or arguments[0].device)


def check_copy(name, arguments, named):
    """HostRead for a copy from the device, and for a blocking copy to the device. Scalars are exempt."""
    source, target = source_and_target(name, arguments, named)
    if source.type == "cuda" != target.type:
        raise fake_cuda.HostRead(f"{name}: a copy from the device to the {target.type}")
    waits = not named.get("non_blocking", arguments[2] if len(arguments) > 2 else False)
    if target.type == "cuda" != source.type and waits and arguments[-1 if name == "aten::copy_" else 0].dim():
        raise fake_cuda.HostRead(f"{name}: a copy to the device that the host waits for (non_blocking=False)")


def changes_nothing(name, arguments, named):
    """A conversion to the tensor's own device and dtype; on a real CUDA tensor it would not be dispatched."""
    source, target = source_and_target(name, arguments, named)
    own = arguments[0]
    return name == "aten::_to_copy" and source == target and named.get("dtype") in (None, own.dtype)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(workload.MODELS), metavar="NAME@SIZExBATCH")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=FLAGS", help="further settings")
    parser.add_argument("--most", type=int, default=0, help="also list this many of the most frequent operations")
    args, flags = parser.parse_known_args(words)
    variants = [(ORIGINALS, []), (OWN, []), *workload.variants(args.variant)]
    lines = []
    for text in args.models:
        setting = workload.Setting.parse(text)
        found = {name: count(setting, [*own, *flags], originals=name == ORIGINALS) for name, own in variants}
        lines.append([str(setting), *(str(counter.total) for counter in found.values())])
        if args.most:
            print(f"{setting}: " + ", ".join(f"{name} {n}" for name, n in found[OWN].counts.most_common(args.most)))
    harness.table(["model", *(name for name, _ in variants)], lines)


def count(setting, words, before=2, originals=False):
    """The Launches of one step of the model of a command line, after `before` other steps; raises HostRead.

    `originals`: of the original program's step. A narrow network launches as many operations as a wide network.
    """
    training = narrow(setting, words, originals)
    with fake_cuda.fake_cuda():
        fake_cuda.move(training.model)
        training.batch = fake_cuda.batch_like(training.batch)
        for _ in range(before):
            training.step()
        with Launches() as counter:
            training.step()
    return counter


def narrow(setting, words, originals=False):
    """A training on the CPU with few channels."""
    names = workload.flags_of(setting.model)
    widths = ("g_conv_dim", "d_conv_dim") if "d_conv_dim" in names else ("ngf", "ndf")
    few = [word for flag in widths for word in (f"--{flag}", "4")]
    if "economies" not in names:
        words = workload.picked(words, lambda flag: flag != "economies")
    kind = reference.without_waiting if originals else functools.partial(workload.Training, device="cpu")
    return kind(setting, [*few, *words])


if __name__ == "__main__":
    main()
