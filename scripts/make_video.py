"""Write a GIF or MP4 that shows the translations of one image in all epochs of a training.

    python scripts/make_video.py checkpoints/horses --output horses.gif

Each frame shows the input, the translation in one epoch and, if there is one, the true image. MP4 needs the package
imageio-ffmpeg (the extra `video`).
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image, ImageDraw

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.files import cannot_write, make_folder_of
from util.flags import Float, Int
from util.show.page_files import roles
from util.show.run_pages import epochs_of, in_order, load, samples_of

BAR = 18  # height of the line of text in pixels
GAP = 4  # pixels between images


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Write a GIF or MP4 that shows the translations of one image in all epochs of a training."
    parser.add_argument("run", help="folder of the run, such as checkpoints/horses")
    parser.add_argument("--output", help="file to write, .gif or .mp4 (none given: <run>/web/progress.gif)")
    parser.add_argument("--sample", type=Int(1), default=1, help="which of the fixed samples (see --display_samples)")
    parser.add_argument("--fps", type=Float(above=0), default=4.0, help="epochs per second")
    parser.add_argument("--size", type=Int(16), help="height of an image in pixels (none given: its own)")
    return parser.parse_args(command_line)


def rows_of(run, sample):
    """[(epoch, {label: path})] of a fixed sample; of the training's images if the run has no samples."""
    samples = samples_of(run)
    if not samples:
        return list(epochs_of(run).items())
    if sample not in samples:
        raise InputError(f"--sample {sample}: {run} has the samples {', '.join(map(str, sorted(samples)))}")
    by_epoch = samples[sample]
    same = by_epoch.pop(None, {})
    return [(epoch, {**same, **files}) for epoch, files in sorted(by_epoch.items())]


def order_of(labels):
    """The labels to show, in order: input, output, true image; without rec_* and idt_*."""
    others = roles(list(labels), True)["others"]
    return [label for label in in_order(labels) if label not in others]


def frame(epoch, files, labels, size):
    """The frame (H, W, 3) of an epoch; black where a label has no image."""
    pictures = [load(files[label]) if label in files else None for label in labels]
    high, wide = next(picture for picture in pictures if picture is not None).shape[:2]
    height = size or high
    width = max(1, round(wide * height / high))
    sheet = Image.new("RGB", (len(labels) * (width + GAP) - GAP, height + BAR))
    draw = ImageDraw.Draw(sheet)
    for number, (label, picture) in enumerate(zip(labels, pictures)):
        if picture is not None:
            scaled = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
            sheet.paste(scaled, (number * (width + GAP), BAR))
        draw.text((number * (width + GAP) + 3, 3), f"{label}, epoch {epoch}" if number == 1 else label, fill="white")
    return np.asarray(sheet)


def write_gif(path, frames, fps):
    first, *others = [Image.fromarray(each) for each in frames]
    first.save(path, save_all=True, append_images=others, duration=round(1000 / fps), loop=0)


def write_mp4(path, frames, fps):
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            "--output .mp4 needs the package imageio-ffmpeg: pip install imageio-ffmpeg; .gif needs nothing more"
        ) from None
    height, width = frames[0].shape[:2]
    writer = imageio_ffmpeg.write_frames(path, (width, height), fps=fps, macro_block_size=2)
    writer.send(None)
    for each in frames:
        writer.send(np.ascontiguousarray(each))
    writer.close()


WRITERS = {".gif": write_gif, ".mp4": write_mp4}


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    output = options.output or os.path.join(options.run, "web", "progress.gif")
    write = WRITERS.get(os.path.splitext(output)[1].lower())
    if write is None:
        raise InputError(f"--output {output}: choose a name that ends in .gif or .mp4")
    make_folder_of("--output", output)
    rows = rows_of(options.run, options.sample)
    if not rows:
        raise InputError(f"{options.run}: there are no pictures by epoch in web/images; give the folder of a run")
    labels = order_of({label for _, files in rows for label in files})
    frames = [frame(epoch, files, labels, options.size) for epoch, files in rows]
    shape = frames[0].shape
    frames = [each for each in frames if each.shape == shape]
    try:
        write(output, frames, options.fps)
    except OSError as error:
        raise InputError(cannot_write(output, error)) from error
    print(f"{output}: {len(frames)} epochs")
    return 0


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
