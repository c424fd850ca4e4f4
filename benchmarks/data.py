"""The cost of loading a training image, on one core and by the data loader, compared with decoding the same files.

    python benchmarks/data.py --dataroot datasets/horse2zebra/trainA --threads 1 --clock cpu
    python benchmarks/data.py                                              # draws photo-like JPEG files itself

First table: milliseconds of one core per image, and the rate relative to plain decoding. `item` is the work of a data
worker for --dataset_mode unaligned (--load_size 286, --crop_size 256, flips), per image; `torchvision` is the same with
torchvision's transforms; `scaled ahead` reads the results of datasets/scale_images.py. Then the stages of an item.
Second table: images per second that the training process gets from its data workers, by wall clock; `items` are made as
above, `ready` items exist in memory, which shows the cost of the transfer between processes.
"""

import os
import random
import tarfile
import tempfile
import time
from pathlib import Path

import harness
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from data import transforms
from data.base_dataset import get_transform
from data.image_folder import make_dataset
from data.loading import worker
from data.loading.loader import CustomDatasetDataLoader
from data.pictures import load_image, open_image
from options.train_options import TrainOptions

BICUBIC = Image.Resampling.BICUBIC


def draw_photos(folder, count, size):
    """JPEG files with as much detail at every scale as photos have, about 1/4 byte a pixel."""
    generator = np.random.default_rng(0)
    for number in range(count):
        layers = []
        for cells in (4, 8, 16, 32, 64, 128):
            coarse = Image.fromarray(generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            layers.append(np.asarray(coarse.resize((size, size), BICUBIC), np.float32) / cells)
        pixels = np.sum(layers, 0) / sum(1 / cells for cells in (4, 8, 16, 32, 64, 128))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:04d}.jpg", quality=90)


def lay_out(options, root):
    """Make root/trainA, trainB, shards/0.tar and scaled with the same images; returns the paths of trainA."""
    if options.dataroot:
        sources = make_dataset(options.dataroot, options.images)
    else:
        (root / "drawn").mkdir()
        draw_photos(root / "drawn", options.images, options.drawn_size)
        sources = make_dataset(str(root / "drawn"))
    for folder in ("trainA", "trainB", "shards", "scaled"):
        (root / folder).mkdir()
    for number, source in enumerate(sources):
        name = f"{number:05d}{Path(source).suffix}"
        for side in ("trainA", "trainB"):
            os.symlink(os.path.abspath(source), root / side / name)
        open_image(source).resize((286, 286), BICUBIC).save(root / "scaled" / f"{number:05d}.ppm")
    with tarfile.open(root / "shards" / "0.tar", "w", dereference=True) as tar:
        tar.add(root / "trainA", ".")
    return make_dataset(str(root / "trainA"))


def make_loader(root, options, workers=0):
    words = ["--dataroot", str(root), "--model", "cycle_gan", "--load_size", "286", "--crop_size", "256", "--seed", "0"]
    words += ["--num_threads", str(workers), "--batch_size", str(options.batch_size), "--device", "cpu"]
    with harness.quietly():
        return CustomDatasetDataLoader(TrainOptions(words).parse())


def plainly(path):
    with Image.open(path) as image:
        return image.convert("RGB")


def by_torchvision():
    """The stages by torchvision's transforms; None if torchvision is not installed."""
    try:
        from torchvision import transforms as tv
    except ImportError:
        return None
    size = tv.Resize([286, 286], tv.InterpolationMode.BICUBIC)
    stages = [size, tv.RandomCrop(256), tv.RandomHorizontalFlip(), tv.ToTensor(), tv.Normalize((0.5,) * 3, (0.5,) * 3)]
    pipeline = tv.Compose(stages)
    return lambda path: pipeline(plainly(path))


def tasks_of(root, paths, options):
    """{name: (function, its arguments in successive calls, images per call)}"""
    loader = make_loader(root, options)
    items = worker.Positioned(loader.dataset, 0)
    transform = get_transform(loader.opt)
    shards, ahead = (make_dataset(str(root / name)) for name in ("shards", "scaled"))
    opened = [open_image(path) for path in paths]
    scaled = [transforms.resize(image, (286, 286)) for image in opened]
    cropped = [transforms.crop(image, (15, 15), 256) for image in scaled]
    flips = [transforms.flip(image, True) for image in cropped]
    each = range(len(paths))
    tasks = {
        "decode": (plainly, paths, 1),
        "item": (lambda index: items[1, index], each, 2),
        "torchvision": (by_torchvision(), paths, 1),
        "one image": (lambda path: load_image(path, transform), paths, 1),
        "one of a shard": (lambda path: load_image(path, transform), shards, 1),
        "scaled ahead": (lambda path: load_image(path, transform), ahead, 1),
        "  open_image": (open_image, paths, 1),
        "  resize": (lambda image: transforms.resize(image, (286, 286)), opened, 1),
        "  crop": (lambda image: transforms.crop(image, (15, 15), 256), scaled, 1),
        "  flip": (lambda image: transforms.flip(image, True), cropped, 1),
        "  to_tensor": (transforms.to_tensor, flips, 1),
    }
    return {name: task for name, task in tasks.items() if task[0]}


def per_core(root, paths, options, clock):
    """({name: seconds per image}, rate of items / rate of decoding), with their spread."""

    def timed(function, arguments, images):
        def run():
            for argument in arguments:
                function(argument)

        return lambda: clock.seconds(run) / (len(arguments) * images)

    tasks = {name: timed(*task) for name, task in tasks_of(root, paths, options).items()}
    for task in tasks.values():
        task()  # files into memory
    rounds = harness.interleave(tasks, options.rounds, after=lambda number: harness.out_of_time(options))
    ratio = [plain / item for plain, item in zip(rounds["decode"], rounds["item"])]
    return {name: harness.spread(values) for name, values in rounds.items()}, harness.spread(ratio)


class Ready(Dataset):
    """Items in memory: two tensors (3, 256, 256) of one dtype."""

    def __init__(self, kind, length):
        self.item = {"A": torch.zeros(3, 256, 256, dtype=kind), "B": torch.zeros(3, 256, 256, dtype=kind)}
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return {**self.item, "A_paths": "a.jpg", "B_paths": "b.jpg"}


def rate(batches, images):
    """Images per second, after the workers have started and filled their queues."""
    batches = iter(batches)
    first = next(batches)
    start, count = time.perf_counter(), 0
    for _ in batches:
        count += images
    del first
    return count / (time.perf_counter() - start)


def by_workers(root, paths, options):
    """[{workers, kind, rate}]"""
    rows, images = [], 2 * options.batch_size
    for workers in options.workers:
        loader = make_loader(root, options, workers)
        common = {"batch_size": options.batch_size, "num_workers": workers, "collate_fn": worker.collate}
        length = max(20 * options.batch_size, len(paths))
        ready = {
            f"ready {kind}": DataLoader(Ready(getattr(torch, kind), length), persistent_workers=workers > 0, **common)
            for kind in ("float32", "uint8")
        }
        tasks = {"items": lambda loader=loader: rate(loader, images)}
        tasks |= {name: lambda batches=batches: rate(batches, images) for name, batches in ready.items()}
        for task in tasks.values():
            task()
        rounds = harness.interleave(tasks, options.rounds, after=lambda number: harness.out_of_time(options))
        rows += [{"workers": workers, "kind": name, "rate": harness.spread(v)} for name, v in rounds.items()]
    return rows


def main(words=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--dataroot", help="a folder of images (none given: draws some)")
    parser.add_argument("--images", type=int, default=100, help="how many of them (100)")
    parser.add_argument("--drawn_size", type=int, default=256, help="side of drawn images (256)")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2], help="numbers of data workers to try (0 2)")
    options = harness.settle(parser.parse_args(words))
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")  # the benchmark's folders need not be remembered
        paths = lay_out(options, root)
        sizes = sorted({plainly(path).size for path in paths})
        weight = np.mean([os.path.getsize(path) for path in paths])
        print(f"{len(paths)} images from {sizes[0]} to {sizes[-1]}, {weight:,.0f} bytes each")
        figures, ratio = per_core(root, paths, options, harness.Clock(options))
        rates = by_workers(root, paths, options)
    plain = figures["decode"]["median"]
    lines = [[name, harness.shown(each, 3, 1e3), f"{plain / each['median']:.2f}"] for name, each in figures.items()]
    harness.table(["ms an image", "", "of decode's rate"], lines)
    print(f"item, of decode's rate in the same round: {harness.shown(ratio)}")
    harness.table(
        ["images a second", "workers", ""],
        [[row["kind"], str(row["workers"]), harness.shown(row["rate"], 0)] for row in rates],
    )
    harness.say_machine(options)
    named = [{"name": name.strip(), "seconds": figure} for name, figure in figures.items()]
    return harness.report("data", options, named, ratio=ratio, rates=rates)


if __name__ == "__main__":
    main()
