"""Translate images and videos (files, folders, patterns) with a trained run; results have the names of the inputs.

    python scripts/translate.py checkpoints/horses photos/ holiday.jpg ride.mp4 --output zebras
    python scripts/translate.py --weights latest_net_G.pth photos/ --output zebras

Each image keeps its size, format and bit depth; a video keeps its size, frame rate and sound. Files that exist in the
output folder are kept, so that a stopped command can be continued; --overwrite replaces them. Exit code: 0 all files
were translated, 1 some could not be read (they are listed), 2 nothing was done because of a wrong flag or path.
"""

import contextlib
import glob
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.image_folder import is_image_file, make_dataset
from data.image_names import about_unread
from data.videos import is_video, map_frames
from options.flags import OUTPUT_FORMATS
from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.files import make_folder
from util.flags import SWITCH, Int
from util.show.bar import Bar


class Job(NamedTuple):
    """A file to translate and the file to write."""

    source: str
    target: str


def read_options(command_line):
    parser = OptionParser(command_line)
    add = parser.add_argument
    parser.description = "Translate image and video files with a trained run."
    help = "folder of a trained run (none with --weights), then files, folders, or patterns such as 'photos/*.jpg'"
    add("words", nargs="+", metavar="RUN INPUT", help=help)
    add("--output", metavar="DIR", help="folder for the translations (required)")
    add("--device", default="auto", help="auto | cpu | cuda | cuda:N | mps")
    help = "instead of RUN: a generator's file; the architecture is read from its keys and shapes"
    add("--weights", metavar="FILE", help=help)
    add("--epoch", default="latest", help="which checkpoint of the run")
    add("--direction", help="AtoB | BtoA, for runs that translate both ways (none given: as trained)")
    help = "for stargan: what to translate to, such as Blond_Hair or Male=1+Young=0 (none given: the first target)"
    add("--target", help=help)
    add_tiles(add)
    add("--batch_size", type=Int(1), default=1, help="images of one size in a batch")
    add("--overwrite", **SWITCH, default=False, help="replace files that exist in --output")
    help = f"{' | '.join(OUTPUT_FORMATS)} for all images (none given: the format of the input)"
    add("--output_format", choices=OUTPUT_FORMATS, help=help)
    options = parser.parse_or_help()
    if not options.output:
        raise InputError("--output: missing; give the folder for the translations")
    options.run, *options.inputs = [None, *options.words] if options.weights else options.words
    if not options.inputs:
        raise InputError(
            f"{options.run}: no images are given; give RUN, then files or folders; or --weights instead of RUN"
        )
    if options.weights and (options.direction or "epoch" in parser.given()):
        raise InputError("--weights: the file is one checkpoint of one direction; leave out --epoch and --direction")
    return options


def add_tiles(add):
    add("--tile", type=Int(16), help="translate large images in tiles of this side in pixels, with less memory")
    help = "pixels around a tile that are passed to the network with it (none given: as many as an exact result needs)"
    add("--tile_overlap", type=Int(0), help=help)
    help = "measure the norms' statistics on this many tiles: faster and less exact (none given: on all tiles)"
    add("--tile_samples", type=Int(1), help=help)


def find_jobs(inputs, output, output_format=None):
    """The Job of every image; sub-folders of a given folder are kept. InputError for missing files and equal names."""
    jobs = {}
    for word in inputs:
        for source, name in _named_files(word):
            if output_format and not is_video(name):
                name = f"{os.path.splitext(name)[0]}.{output_format}"
            target = os.path.join(output, name)
            other = jobs.setdefault(target, source)
            if os.path.abspath(other) != os.path.abspath(source):
                raise InputError(
                    f"{source}: its translation would have the name of that of {other}; run them separately"
                )
            if os.path.exists(target) and os.path.samefile(source, target):
                raise InputError(f"--output {output}: {source} would be overwritten; choose another folder")
    return [Job(source, target) for target, source in jobs.items()]


def _named_files(word):
    """(file, name of its translation) of each image of a word of the command line: file, folder or pattern."""
    if os.path.isdir(word):
        paths = make_dataset(word)
        paths += [str(path) for path in sorted(Path(word).rglob("*")) if is_video(path.name) and path.is_file()]
        if not paths:
            raise InputError(f"{word}: no images in this folder")
        return [(path, os.path.relpath(path, word)) for path in paths]
    paths = [word] if os.path.exists(word) else sorted(filter(os.path.isfile, glob.glob(word, recursive=True)))
    if not paths:
        raise InputError(f"{word}: no such file or folder")
    files = [path for path in paths if len(paths) == 1 or is_image_file(path) or is_video(path)]
    if unread := about_unread(path for path in paths if path not in files):
        print(f"{word} also matches {unread}", file=sys.stderr)
    return [(path, os.path.basename(path)) for path in files]


def translate_all(translate, jobs, batch_size, condition):
    """Translate and write the files in batches; returns [(file, reason)] of the files that failed."""
    from data.pictures import write

    failed = []
    with Bar(len(jobs), "images") as bar:
        for start in range(0, len(jobs), batch_size):
            batch = jobs[start : start + batch_size]
            readable = [
                (job, image) for job in batch if (image := _read(translate.read, job.source, failed)) is not None
            ]
            for job, result in _translate(translate, readable, batch_size, condition, failed):
                try:
                    write(job.target, result)
                except InputError as error:  # a format that can't hold the values, or a full disk
                    failed.append((job.source, str(error)))
            bar.update(len(batch))
    return failed


def _read(read, path, failed):
    try:
        return read(path)
    except InputError as error:
        failed.append((path, str(error).removeprefix(f"{path}: ")))
        return None


def _translate(translate, readable, batch_size, condition, failed):
    """(job, result) of each image; after an error in a batch, its images are tried one by one."""
    try:
        images = [image for _, image in readable]
        return list(zip((job for job, _ in readable), translate(images, batch_size=batch_size, **condition)))
    except ValueError as error:
        if len(readable) == 1:
            failed.append((readable[0][0].source, str(error)))
            return []
    return [made for each in readable for made in _translate(translate, [each], 1, condition, failed)]


def translate_videos(translate, jobs, batch_size, condition):
    """Translate and write the videos frame by frame; returns [(file, reason)] of the files that failed."""
    failed = []
    for job in jobs:
        title = os.path.basename(job.source)
        with Bar(None, "frames", title) as bar:

            def progress(frames, expected, bar=bar, title=title):
                bar.describe(title, expected)
                bar.update(frames)

            def function(frames):
                return translate(frames, batch_size=batch_size, **condition)

            try:
                map_frames(function, job.source, job.target, batch_size, progress)
            except ValueError as error:
                failed.append((job.source, str(error).removeprefix(f"{job.source}: ")))
    return failed


@contextlib.contextmanager
def loaded(options):
    """The Translator of the run, or of a temporary run made from the file of --weights."""
    from models.translator import Translator  # imported after the flags are checked, because torch takes seconds

    if not options.weights:
        yield Translator.load(options.run, options.epoch, options.direction, options.device)
        return
    from scripts import import_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        words = [options.weights, "--name", "weights", "--checkpoints_dir", folder]
        with contextlib.redirect_stdout(io.StringIO()):
            run = import_checkpoint.import_run(import_checkpoint.read_options(words))
        yield Translator.load(run, device=options.device)


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    jobs = find_jobs(options.inputs, options.output, options.output_format)
    new = [job for job in jobs if options.overwrite or not os.path.exists(job.target)]
    condition = {} if options.target is None else {"target": options.target}
    if options.tile:
        condition |= {name: getattr(options, name) for name in ("tile", "tile_overlap", "tile_samples")}
    with loaded(options) as translate:
        translate.condition_for(options.target)  # InputError, before any file is read, if the model has no such target
        make_folder("--output", options.output)
        videos = [job for job in new if is_video(job.source)]
        images = [job for job in new if not is_video(job.source)]
        failed = translate_all(translate, images, options.batch_size, condition) if images else []
        failed += translate_videos(translate, videos, options.batch_size, condition)
    kept = f", kept {len(jobs) - len(new)} that existed (--overwrite replaces them)" * (len(new) < len(jobs))
    kind = f"{'images and ' * (len(videos) < len(jobs))}videos" if videos else "images"
    print(f"translated {len(new) - len(failed)} of {len(jobs)} {kind} to {options.output}{kept}")
    for path, reason in failed:
        print(f"not translated: {path}: {reason}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
