"""Memory that a training step needs on a GPU, counted without a GPU (see fake_cuda.py), and what fits into which card.

    python benchmarks/memory.py                                              every model at 256, 512 and 1024 pixels
    python benchmarks/memory.py --models cycle_gan@512x4 --variant "parts=--batch_size 1 --accumulate 4"

The count is the peak of the bytes of all tensors that are alive at the same time, rounded as torch's allocator rounds
them: what torch.cuda.max_memory_allocated() returns. It includes weights, Adam's state, gradients, the full pools of
generated images and the activations that autograd keeps. It leaves out what RESERVE stands for. The networks have their
full width. More flags are those of train.py, and go to every model.
"""

import weakref

import fake_cuda
import harness
import torch
import workload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from workload import Setting

from util.image_pool import ImagePool

GIB = 2**30
BLOCK = 512  # bytes; torch's allocator for CUDA rounds every tensor up to a multiple

# Of a card's memory, what no tensor can have: CUDA's context, the libraries' kernels and workspaces; and the share of
# torch's blocks that lies idle between tensors. An assumption, not a measurement.
RESERVE, IDLE = 1.0 * GIB, 0.1

SIZES = (256, 512, 1024)
CARDS = (8, 16, 24, 80)  # GB as they are sold, which are GiB in the device
VARIANTS = {
    "tf32": "",
    "grad_checkpoint": "--grad_checkpoint",
    "bf16": "--precision bf16",
    "bf16, grad_checkpoint": "--precision bf16 --grad_checkpoint",
}


class LiveBytes(TorchDispatchMode):
    """Follows the tensors on the device that are made while it is entered: ``now`` and ``peak``, in bytes.

    Tensors that share their memory (views, results in place) count once, until the last of them is gone.
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known = weakref.WeakKeyDictionary()  # storages

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor) and tensor.is_cuda:
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage):
        if storage in self._known:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        self._known[storage] = size
        weakref.finalize(storage, self._remove, size).atexit = False
        self.now += size
        self.peak = max(self.peak, self.now)

    def _remove(self, size):
        self.now -= size


def count(setting, words):
    """{"peak", "held"}: bytes at the peak of a step, and between steps. The peak of a cycle of steps, after one."""
    training = workload.Training(setting, words, "cpu")
    with fake_cuda.fake_cuda(), LiveBytes() as live:
        fake_cuda.move(training.model)
        training.batch = fake_cuda.batch_like(training.batch)
        fill_pools(training.model, setting.size)
        training.steps(training.cycle)  # Adam has its state from the first step on
        live.peak = live.now
        training.steps(training.cycle)
        return {"peak": live.peak, "held": live.now}


def fill_pools(model, size):
    """As after the first steps of a training, in which the pools of generated images grow."""
    for pool in (value for value in vars(model).values() if isinstance(value, ImagePool)):
        images = (torch.empty(1, 3, size, size, device=fake_cuda.DEVICE) for _ in range(pool.pool_size))
        pool.images = list(images)


def fits(peak, card):
    """Whether a step with this peak in bytes runs on a card with so many GB."""
    return peak * (1 + IDLE) + RESERVE <= card * GIB


def measure(options, flags):
    variants = workload.variants(options.variant) if options.variant else workload.variants(DEFAULTS)
    rows = []
    for setting in options.models:
        for name, own in variants:
            row = {**setting._asdict(), "variant": name, "words": " ".join(own), "error": None}
            try:
                row |= count(setting, [*flags, *own])
            except Exception as error:
                row["error"] = harness.reason(error)
            rows.append(row)
            harness.report("memory", options, rows, cards=cards_of(rows))
    return rows


DEFAULTS = [f"{name}={words}" for name, words in VARIANTS.items()]


def cards_of(rows):
    """{model: {GB of the card: the first variant of those counted that fits, None where none does}}."""
    found = {}
    for row in rows:
        of_model = found.setdefault(label(row), dict.fromkeys(CARDS))
        for card in CARDS if row["error"] is None else ():
            if of_model[card] is None and fits(row["peak"], card):
                of_model[card] = row["variant"]
    return found


def label(row):
    return f"{row['model']}@{row['size']}" + (f"x{row['batch']}" if row["batch"] > 1 else "")


def show(rows):
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    peaks = {(label(row), row["variant"]): row.get("peak") for row in rows}
    models = list(dict.fromkeys(label(row) for row in rows))
    heads = ["peak in GiB", *variants]
    harness.table(heads, [[m, *(harness.shown(peaks[m, v], 2, 1 / GIB) for v in variants)] for m in models])
    print(f"\nThe first of these settings that fits, with {IDLE:.0%} and {RESERVE / GIB:.0f} GiB kept free:")
    lines = [[model, *(each or "-" for each in of_cards.values())] for model, of_cards in cards_of(rows).items()]
    harness.table(["", *(f"{card} GB" for card in CARDS)], lines)
    for row in rows:
        if row["error"]:
            print(f"{label(row)} {row['variant']}: {row['error']}")


def main(words=None):
    parser = harness.parser(__doc__, rounds=1)
    everything = [Setting(model, size, 1) for model in workload.MODELS for size in SIZES]
    parser.add_argument("--models", nargs="+", type=Setting.parse, default=everything, metavar="NAME@SIZExBATCH")
    parser.add_argument("--variant", action="append", metavar="NAME=FLAGS", help="instead of those of VARIANTS")
    options, flags = parser.parse_known_args(words)
    options.device = "cpu"  # where the count runs
    rows = measure(harness.settle(options), flags)
    harness.say_machine(options)
    show(rows)
    return rows


if __name__ == "__main__":
    main()
