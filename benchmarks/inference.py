"""Images per second of a trained generator: the network alone, and the complete path of test.py.

    python benchmarks/inference.py
    python benchmarks/inference.py --models cut@512 --batches 1 4 --variant plain= --variant "half=--precision bf16"

The complete path of `test.py --model test` reads each image, translates it and writes input and translation as PNG with
a line on the page, in one process, without start-up time. If norm or dropout would make results depend on the batch
(pix2pix), images pass the network one by one for any batch size. The floor is the time of the network's multiply-adds
at the rate of a forward convolution, measured in the same rounds.
"""

import contextlib
import tempfile
from pathlib import Path

import floor
import harness
import programs
import workload
from workload import Setting

from data import create_dataset
from models import create_model, prepare
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.run.batch_slices import batch_size, split_batch
from util.show.results import save_images

MODELS = ("cycle_gan@256", "pix2pix@256")


class NoPage:
    """Replaces the page if dominate, which writes it, is missing; images are still written."""

    def __init__(self, folder, title):
        self.folder, self.taken = folder, set()

    def get_image_dir(self):
        return self.folder

    def add_section(self, *arguments, **named):
        pass


def page_class():
    try:
        from util.html import HTML
    except ImportError:
        return NoPage
    return HTML


def train_nothing(setting, words, folder):
    """Write the options and initial weights of a run to the folder."""
    with harness.quietly():
        where = ["--checkpoints_dir", folder, "--name", "run", "--device", "cpu"]
        options = TrainOptions([*setting.words(), *where, *words])
        model = create_model(options.parse())
        prepare(model, [], options.opt)
        Path(model.save_dir).mkdir(parents=True, exist_ok=True)
        model.save_networks("latest")
        options.save()


class Translation:
    """A trained run under test, in one variant and batch size."""

    def __init__(self, folder, photos, batch, words, device):
        results = str(Path(folder, "results"))
        where = ["--dataroot", photos, "--checkpoints_dir", folder, "--name", "run", "--results_dir", results]
        with harness.quietly():
            options = TestOptions([*where, "--batch_size", str(batch), "--device", device, "--seed", "0", *words])
            self.opt = options.parse()
            self.dataset = create_dataset(self.opt)
            self.model = create_model(self.opt)
            prepare(self.model, self.dataset, self.opt)
        self.page = page_class()(results, "benchmark")
        self.batch = next(iter(self.dataset))
        self.batch["A"] = self.batch["A"].to(self.opt.device)

    def parts(self, batch):
        return split_batch(batch, 1 if self.model.mixes_samples() else batch_size(batch))

    def translate(self, batch):
        for part in self.parts(batch):
            self.model.set_input(part)
            self.model.test()

    def network(self):
        """Translate the first batch, which is on the device already."""
        with workload.precision_of(self.opt):
            self.translate(self.batch)

    def all(self):
        """Translate and write all images."""
        self.page.taken.clear()
        with workload.precision_of(self.opt):
            for batch in self.dataset:
                for part in self.parts(batch):
                    self.translate(part)
                    paths, visuals = self.model.get_image_paths(), self.model.get_current_visuals()
                    save_images(self.page, visuals, paths, root=self.opt.dataroot)

    def multiply_adds(self):
        """Of one image."""
        with workload.MultiplyAdds() as counter:
            self.network()
        return counter.total / len(self.batch["A"])


class Case:
    def __init__(self, setting, batch, variant, words):
        self.setting, self.batch, self.variant, self.words = setting, batch, variant, words
        self.translation = self.multiply_adds = self.error = None
        self.visits = []

    def build(self, folder, photos, device):
        try:
            self.translation = Translation(folder, photos, self.batch, self.words, device)
            for _ in range(4 if device.startswith("cuda") else 1):
                self.translation.network()
        except Exception as error:
            self.translation, self.error = None, harness.reason(error)

    def visit(self, references, clock, repeats):
        """Seconds per image of the network and of the complete path, and the rates of the convolutions."""
        rates = {name: convolution.rate(clock) for name, (convolution, _) in references.items()}
        images, translation = len(self.translation.batch["A"]), self.translation
        translation.network()
        network = clock.seconds(lambda: [translation.network() for _ in range(repeats)]) / (repeats * images)
        path = clock.seconds(translation.all) / len(translation.dataset)
        self.visits.append({"network": network, "path": path, "rates": rates})

    def row(self):
        row = {**self.setting._asdict(), "batch": self.batch, "variant": self.variant, "words": " ".join(self.words)}
        row |= {"multiply_adds": self.multiply_adds, "error": self.error}
        for way in ("network", "path") if self.visits else ():
            row[f"{way}_images_per_second"] = harness.spread(1 / each[way] for each in self.visits)
            row[f"{way}_over_floor"] = {
                name: harness.spread(each[way] * each["rates"][name] / self.multiply_adds for each in self.visits)
                for name in self.visits[0]["rates"]
            }
        return row


def read_options(words):
    parser = harness.parser(__doc__)
    parser.add_argument("--models", nargs="+", type=Setting.parse, default=[Setting.parse(each) for each in MODELS])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--images", type=int, default=16, help="that the whole way translates in a round")
    parser.add_argument("--variant", action="append", metavar="NAME=FLAGS", help="flags of test.py; again for more")
    options, more = parser.parse_known_args(words)
    options.variant = options.variant or ["default="]
    return harness.settle(options), more


def measure(options, words, stack):
    clock = harness.Clock(options)
    references = floor.references(options.device, clock, backward=False)
    cases = []
    for setting in options.models:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        photos = str(Path(folder, "photos"))
        programs.photos(photos, options.images, setting.size)
        train_nothing(setting, words, folder)
        own = [
            Case(setting, batch, *variant)
            for variant in workload.variants(options.variant)
            for batch in options.batches
        ]
        for case in own:
            case.build(folder, photos, options.device)
        multiply_adds = next((case.translation.multiply_adds() for case in own if case.translation), None)
        for case in own:
            case.multiply_adds = multiply_adds
        cases += own
    # On CUDA a pass is so short that the clock would see its start.
    repeats = 20 if options.device.startswith("cuda") else 1
    tasks = {case: lambda case=case: case.visit(references, clock, repeats) for case in cases if case.translation}
    harness.interleave(tasks, options.rounds, lambda number: harness.out_of_time(options))
    return cases, {name: description for name, (_, description) in references.items()}


def show(content):
    best = list(content["rates"])[-1]
    lines = []
    for row in content["rows"]:
        cells = [f"{row['model']}@{row['size']}", str(row["batch"]), row["variant"]]
        figures = [harness.shown(row.get(f"{way}_images_per_second")) for way in ("network", "path")]
        figures += [harness.shown(row.get(f"{way}_over_floor", {}).get(best)) for way in ("network", "path")]
        lines.append([*cells, *figures] if not row["error"] else [*cells, row["error"][:60], "", "", ""])
    heads = "model|batch|variant|network images/s|whole way images/s|network/floor|whole way/floor"
    harness.table(heads.split("|"), lines)


def main(words=None):
    options, more = read_options(words)
    with contextlib.ExitStack() as stack:
        cases, rates = measure(options, more, stack)
    harness.say_machine(options)
    page = page_class().__name__
    show(harness.report("inference", options, [case.row() for case in cases], rates=rates, page=page))


if __name__ == "__main__":
    main()
