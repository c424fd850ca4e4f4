"""Compare translated images with true images: mean absolute error and PSNR, and those of simple baselines.

    python scripts/measure.py --results results/shapes/test_latest --truth datasets/shapes/testB \
        --input datasets/shapes/testA --mean datasets/shapes/trainB
    python scripts/measure.py --results results/facades/test_latest --direction BtoA \
        --aligned datasets/facades/test --aligned_mean datasets/facades/train
    python scripts/measure.py --results results/faces/test_latest --truths datasets/shapes_faces/truth \
        --input datasets/shapes_faces/images

A result is compared with the true image of the same name: `<stem>_<label>.png`, or `<label>/<stem>.png`.
"""

import os
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.image_folder import make_dataset
from data.pictures import open_image
from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.metrics.pixels import l1, mean_image, psnr, resized, values
from util.metrics.report import write_scores
from util.show.bar import Bar

UNTRANSLATED, CONSTANT = "no translation", "mean of training"


class Source(NamedTuple):
    """Images below a folder; `crop` "left" or "right" takes one half of each, None the whole image."""

    folder: str
    crop: str | None = None

    def paths(self):
        paths = make_dataset(self.folder)
        if not paths:
            raise InputError(f"{self.folder}: no images in it")
        return paths

    def by_stem(self):
        """Path below the folder without its extension -> file."""
        return {_stem(path, self.folder): path for path in self.paths()}

    def open(self, path):
        image = open_image(path)
        if self.crop is None:
            return image
        middle = image.width // 2
        return image.crop((0, 0, middle, image.height) if self.crop == "left" else (middle, 0, *image.size))


def _stem(path, folder):
    return Path(os.path.splitext(os.path.relpath(path, folder))[0]).as_posix()


def find_results(folder, label):
    """Stem -> file of the images with this label in a result folder (or in its images/), in both layouts."""
    folder = os.path.join(folder, "images") if os.path.isdir(os.path.join(folder, "images")) else folder
    stems = {_stem(path, folder): path for path in make_dataset(folder)}
    found = {}
    for stem, path in stems.items():
        if stem.startswith(f"{label}/"):
            found[stem.removeprefix(f"{label}/")] = path
        elif stem.endswith(f"_{label}"):
            found[stem.removesuffix(f"_{label}")] = path
    if not found:
        others = ", ".join(f"'{Path(stem).name}'" for stem in list(stems)[:3]) or "none at all"
        raise InputError(f"--results {folder}: no images called '{label}' (found: {others}); see --label")
    return found


def pair(results, truths):
    """Stem of a result -> stem of its true image, for the results that have a true image.

    If the folders differ (testA/1 and 1), files are matched by name, provided that only one true image has this name.
    """
    by_name = {}
    for stem in truths:
        by_name.setdefault(stem.rpartition("/")[2], []).append(stem)
    pairs = {}
    for stem in results:
        candidates = [stem] if stem in truths else by_name.get(stem.rpartition("/")[2], [])
        if len(candidates) == 1:
            pairs[stem] = candidates[0]
    return pairs


def measure(results, label, truth, source=None, training=None):
    """Measure every result (stem -> file) that has a true image.

    truth, source, training: the Source of the true images, of the inputs, and of the images whose mean is a baseline.
    Returns a dict: pairs, without_truth and without_answer (names), resized (a count), images: stem -> name of the
    result or baseline -> l1, psnr.
    """
    truths, inputs = truth.by_stem(), source.by_stem() if source else {}
    pairs = pair(results, truths)
    if not pairs:
        result, other = next(iter(results)), next(iter(truths))
        raise InputError(f"{truth.folder}: no image has the name of a result (true image '{other}', result '{result}')")
    means, images, sizes_differ = {}, {}, 0
    for stem, name in Bar(len(pairs), "images", label).over(sorted(pairs.items())):
        result, true = open_image(results[stem]), truth.open(truths[name])
        size, sizes_differ = result.size, sizes_differ + (result.size != true.size)
        candidates = {label: values(result)}
        if source:
            if name not in inputs:
                raise InputError(f"{source.folder}: no input called '{name}'")
            candidates[UNTRANSLATED] = values(resized(source.open(inputs[name]), size))
        if training:
            if size not in means:
                paths = training.paths()
                opened = map(training.open, Bar(len(paths), "images", "mean of the training images").over(paths))
                means[size] = mean_image(opened, size)
            candidates[CONSTANT] = means[size]
        goal = values(resized(true, size))
        images[stem] = {key: {"l1": l1(each, goal), "psnr": psnr(each, goal)} for key, each in candidates.items()}
    return {
        "pairs": len(pairs),
        "without_truth": sorted(set(results) - set(pairs)),
        "without_answer": sorted(set(truths) - set(pairs.values())),
        "resized": sizes_differ,
        "images": images,
    }


def measure_each(results, truths, source=None):
    """Label -> result of measure(), for every label that has a folder of true images in `truths`."""
    labels = sorted(entry.name for entry in os.scandir(truths) if entry.is_dir()) if os.path.isdir(truths) else []
    if not labels:
        raise InputError(f"--truths {truths}: no folders in it; it needs one of true images for each label")
    found = {}
    for label in labels:
        found[label] = measure(find_results(results, label), label, Source(os.path.join(truths, label)), source)
        found[label]["mean"] = averages(found[label]["images"])
    return found


def table(found):
    """The console table of several labels: the error of the results and of the untranslated images."""
    unchanged = all(UNTRANSLATED in each["mean"] for each in found.values())
    lines = [f"{'':<24}{'images':>8}{'L1 in [-1,1]':>14}{'PSNR in dB':>12}" + f"{UNTRANSLATED:>18}" * unchanged]
    for label, each in found.items():
        own = each["mean"][label]
        baseline = f"{each['mean'][UNTRANSLATED]['l1']:>18.4f}" if unchanged else ""
        lines.append(f"{label:<24}{each['pairs']:>8}{own['l1']:>14.4f}{own['psnr']:>12.2f}{baseline}")
    return "\n".join(lines)


def averages(images):
    """Name of the result or baseline -> mean l1 and mean psnr over the images."""
    return {
        name: {key: sum(each[name][key] for each in images.values()) / len(images) for key in ("l1", "psnr")}
        for name in next(iter(images.values()))
    }


def report(found, label):
    """The console text."""
    lines = [f"{found['pairs']} images of {label} compared with their true images"]
    for key, words in (
        ("without_truth", "results without a true image"),
        ("without_answer", "true images without a result"),
    ):
        if found[key]:
            shown = ", ".join(found[key][:3]) + (", ..." if len(found[key]) > 3 else "")
            lines.append(f"  left out: {len(found[key])} {words} ({shown})")
    if found["resized"]:
        lines.append(f"  note: {found['resized']} true images were resized to the size of the result")
    lines.append(f"{'':<20}{'L1 in [-1,1]':>14}{'PSNR in dB':>14}")
    lines += [f"{name:<20}{mean['l1']:>14.4f}{mean['psnr']:>14.2f}" for name, mean in found["mean"].items()]
    return "\n".join(lines)


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Compare translated images with true images, and with simple baselines."
    add = parser.add_argument
    add("--results", required=not parser.wants_help(), metavar="DIR", help="folder of a test run, or its images/")
    add("--label", default="fake_B", help="which of its images to measure")
    add("--truth", metavar="DIR", help="the true images, by the same names")
    add("--truths", metavar="DIR", help="instead of --truth and --label: a folder of true images for each label")
    add("--input", metavar="DIR", help="the inputs, for the baseline of untranslated images")
    add("--mean", metavar="DIR", help="training images of the target domain, for the baseline of their mean")
    add("--aligned", metavar="DIR", help="instead of --truth and --input: images with A and B side by side")
    add("--aligned_mean", metavar="DIR", help="instead of --mean: training images side by side")
    add("--direction", default="AtoB", choices=["AtoB", "BtoA"], help="which side of aligned images is the truth")
    add("--json", metavar="FILE", help="write all numbers there, image by image")
    options = parser.parse_or_help()
    if [options.truth, options.truths, options.aligned].count(None) != 2:
        raise InputError("--truth DIR, --truths DIR or --aligned DIR: give one of them, the folder of the true images")
    if options.truths and (options.mean or options.aligned_mean):
        raise InputError("--mean, --aligned_mean: not with --truths, which has a folder for each label")
    if options.aligned and options.input:
        raise InputError("--input: the other half of the --aligned images is the input; leave it out")
    if options.mean and options.aligned_mean:
        raise InputError("--mean, --aligned_mean: give one of them")
    return options


def sources(options):
    """The Sources of the true images, the inputs and the training images; None for those not given."""
    given, wanted = ("left", "right") if options.direction == "AtoB" else ("right", "left")
    training = Source(options.mean) if options.mean else None
    if options.aligned_mean:
        training = Source(options.aligned_mean, wanted)
    if options.aligned:
        return Source(options.aligned, wanted), Source(options.aligned, given), training
    return Source(options.truth), Source(options.input) if options.input else None, training


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    if options.truths:
        found = measure_each(options.results, options.truths, Source(options.input) if options.input else None)
        print(table(found))
    else:
        found = measure(find_results(options.results, options.label), options.label, *sources(options))
        found["mean"] = averages(found["images"])
        print(report(found, options.label))
    if options.json:
        write_scores(options.json, found)


if __name__ == "__main__":
    with clear_errors():
        main()
