"""Apply a function to the frames of a video file; sound and frame rate are kept. Needs the package imageio-ffmpeg."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from util.errors import InputError
from util.files import UNFINISHED

ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm")
CODECS = {".webm": ("libvpx-vp9", ["-crf", "24", "-b:v", "0"]), ".avi": ("mpeg4", ["-q:v", "2"])}
H264 = ("libx264", ["-crf", "16"])  # high quality; 0 would be lossless, 23 is ffmpeg's default
# Players assume BT.709 for untagged colours of large frames, but ffmpeg would write BT.601.
COLOURS = ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709", "-color_range", "tv"]
COLOURS += ["-color_primaries", "bt709", "-color_trc", "bt709"]


def is_video(path: str) -> bool:
    return path.lower().endswith(ENDINGS)


def map_frames(
    function: Callable[[list[np.ndarray]], list[np.ndarray]],
    source: str,
    target: str,
    batch_size: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `target`, the video whose frames are function(frames of `source`), with the sound of `source`.

    `function` takes and returns lists of at most `batch_size` frames (H, W, 3) uint8. `progress` is called with the
    number of frames in a batch and the expected total. Returns the number of frames. The target is written completely
    or not at all; InputError if the source cannot be read or the target cannot be written.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise InputError(f"{source}: videos need the package imageio-ffmpeg: pip install imageio-ffmpeg")
    import imageio_ffmpeg

    frames, about = _frames(source)
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        dir=os.path.dirname(os.path.abspath(target)), prefix=UNFINISHED, suffix=os.path.splitext(target)[1].lower()
    )
    os.close(handle)
    try:
        count = 0
        with contextlib.closing(_writer(temporary, source, about)) as writer:
            for batch in _batches(frames, batch_size):
                for made in function(batch):
                    writer.send(np.ascontiguousarray(made))
                count += len(batch)
                if progress:
                    progress(len(batch), max(count, round(about["duration"] * about["fps"])))
        written = imageio_ffmpeg.count_frames_and_secs(temporary)[0] if os.path.getsize(temporary) else 0
        if written != count:
            raise InputError(f"{target}: ffmpeg wrote {written} of {count} frames")
        os.replace(temporary, target)
        temporary = ""
        return count
    except OSError as error:  # ffmpeg ended early
        raise InputError(f"{target}: ffmpeg cannot write it ({' '.join(str(error).split())[:200]})") from error
    finally:
        if temporary:
            os.unlink(temporary)


def _frames(source: str) -> tuple[Iterator[np.ndarray], dict[str, Any]]:
    """(frames (H, W, 3) uint8, ffmpeg's description of the video)."""
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(source, pix_fmt="rgb24")
    try:
        about = next(reader)
    except Exception as error:  # imageio-ffmpeg raises several types, with the log of ffmpeg
        raise InputError(f"{source}: not a video that ffmpeg can read") from error
    width, height = about["size"]
    return (np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader), about


def _writer(target: str, source: str, about: dict[str, Any]) -> Any:
    import imageio_ffmpeg

    codec, quality = CODECS.get(os.path.splitext(target)[1], H264)
    even = all(side % 2 == 0 for side in about["size"])
    sound = {"audio_path": source, "audio_codec": "copy"} if about.get("audio_codec") else {}
    writer = imageio_ffmpeg.write_frames(
        target,
        tuple(about["size"]),
        fps=about["fps"],
        codec=codec,
        quality=None,
        pix_fmt_out="yuv420p" if even else "yuv444p",  # 4:2:0 halves both sides for the colours
        macro_block_size=1,
        ffmpeg_log_level="fatal",
        output_params=[*quality, *COLOURS],
        **sound,
    )
    writer.send(None)
    return writer


def _batches(frames: Iterator[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    batch: list[np.ndarray] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
