"""Images per second of the data loader alone, of the training step alone, and of both together as in train.py.

    python benchmarks/feeding.py --models cycle_gan@256x8 --workers 8

The loader reads JPEG files that were drawn for it, and scales, crops and flips them. A pair of images, one of each
domain, counts as one image, as it does in train.py's counters.
"""

import tempfile
import time
from pathlib import Path

import harness
import programs
from workload import Setting, Training

from data import create_dataset


def make_loader(setting, words, folder, options):
    from options.train_options import TrainOptions

    where = ["--dataroot", folder, "--checkpoints_dir", folder, "--device", options.device]
    load_size = str(round(setting.size * 286 / 256))
    sizes = ["--load_size", load_size, "--num_threads", str(options.workers)]
    with harness.quietly():
        return create_dataset(TrainOptions([*setting.words(), *where, *sizes, *words]).parse())


class Feeding:
    def __init__(self, setting, words, folder, options):
        self.training = Training(setting, words, options.device)
        self.loader = make_loader(setting, words, folder, options)
        self.batches, self.epoch = options.batches, 0
        self.training.steps(self.training.whole_cycles(4 if options.device.startswith("cuda") else 1))

    def data(self):
        """The batches of a round, after the workers have started and filled their queues."""
        self.epoch += 1
        self.loader.set_epoch(self.epoch)
        batches = iter(self.loader)
        yield next(batches)
        for _, batch in zip(range(self.batches), batches):
            yield batch

    def timed(self, batches, clock, use):
        """Images a second."""
        first = next(batches, None)
        if first is not None:
            use(first)
        clock.wait()
        begin, images = time.perf_counter(), 0
        for batch in batches:
            use(batch)
            images += len(batch["A"])
        clock.wait()
        return images / (time.perf_counter() - begin)

    def learn(self, batch):
        self.training.batch = batch
        self.training.steps(1)

    def tasks(self, clock):
        noise = self.training.batch
        return {
            "loader": lambda: self.timed(self.data(), clock, lambda batch: None),
            "step": lambda: self.timed(iter([noise] * (self.batches + 1)), clock, self.learn),
            "both": lambda: self.timed(self.data(), clock, self.learn),
        }


def main(words=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--models", nargs="+", type=Setting.parse, default=[Setting.parse("cycle_gan@128x4")])
    parser.add_argument("--workers", type=int, default=2, help="processes that load data (2)")
    parser.add_argument("--batches", type=int, help="that are timed in a round; default: 2, on CUDA 20")
    options, more = parser.parse_known_args(words)
    harness.settle(options)
    options.batches = options.batches or (20 if options.device.startswith("cuda") else 2)
    rows = [measure(setting, more, options) for setting in options.models]
    harness.say_machine(options)
    heads = ["model", "loader images/s", "step images/s", "both images/s", "both / step"]
    keys = ("loader", "step", "both", "both_over_step")
    harness.table(heads, [[row["model"], *(harness.shown(row[key]) for key in keys)] for row in rows])
    return harness.report("feeding", options, rows)


def measure(setting, words, options):
    clock = harness.Clock(options)
    with tempfile.TemporaryDirectory() as folder:
        # Drawing takes longer than decoding: two rounds of an epoch may read the same files.
        number = max(64, (options.batches + 2) * setting.batch)
        for side in ("trainA", "trainB"):
            programs.photos(Path(folder, side), number, setting.size)
        tasks = Feeding(setting, words, folder, options).tasks(clock)
        found = harness.interleave(tasks, options.rounds, lambda number: harness.out_of_time(options))
    shares = [both / step for both, step in zip(found["both"], found["step"])]
    figures = {name: harness.spread(rates) for name, rates in found.items()}
    return {"model": str(setting), "workers": options.workers, **figures, "both_over_step": harness.spread(shares)}


if __name__ == "__main__":
    main()
