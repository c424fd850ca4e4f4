"""Read and write TIFF files that PIL can't represent exactly, and the EXIF data of any TIFF file, with tifffile."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import struct
from typing import IO, Any

import numpy as np
from PIL import Image, TiffImagePlugin

from data import notices
from util.errors import InputError

# EXIF orientation -> (quarter turns, whether to mirror afterwards)
TURNS = {2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (1, 1), 6: (3, 0), 7: (3, 1), 8: (1, 0)}
ORIENTATION, ICC_PROFILE = 274, 34675  # tags; an orientation of 1 is upright
DESCRIPTION, SOFTWARE, DATE = 270, 305, 306
TEXTS = (DESCRIPTION, 271, 272, SOFTWARE, DATE, 315, 316, 33432)  # make, model, artist, computer, copyright, too
DIRECTORIES = (0x8769, 0x8825)  # of EXIF and of GPS data
LITTLE_ENDIAN, ENTRY, LONG = b"II*\0", 12, 4  # start of a file; bytes of a tag in a list; type of an offset


def need(package: str, what: str) -> Any:
    """Import a package; InputError with the command that installs it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(f"{what} needs the package {package}: python -m pip install {package}") from None


def read(file: str | os.PathLike | IO[bytes]) -> tuple[np.ndarray, dict]:
    """(upright array (H, W) or (H, W, C), {icc_profile, exif})."""
    tifffile = need("tifffile", "this kind of TIFF file")
    with tifffile.TiffFile(file) as tiff:
        series, tags = tiff.series[0], tiff.pages[0].tags
        if len(tiff.series) > 1:
            notices.further_pages(getattr(file, "name", file), "TIFF")
        array, axes = series.asarray(), series.axes
        turn = tags[ORIENTATION].value if ORIENTATION in tags else 1
        notes = {"icc_profile": bytes(tags[ICC_PROFILE].value)} if ICC_PROFILE in tags else {}
    rows, columns = axes.index("Y"), axes.index("X")
    array = np.moveaxis(array, (rows, columns), (0, 1))
    array = array.reshape(*array.shape[:2], -1) if array.ndim > 2 else array
    with contextlib.suppress(Exception):  # damaged EXIF data, or a file of more than 4 GB
        exif = Image.Exif()
        with open(file, "rb") if isinstance(file, str | os.PathLike) else contextlib.nullcontext(file) as opened:
            opened.seek(0)
            exif.load_from_fp(opened)
            if described := description_of(exif):
                notes["exif"] = described
    return turned(array, int(turn)), notes


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """The array (H, W, ...) turned upright by its EXIF orientation."""
    quarters, mirrored = TURNS.get(orientation, (0, 0))
    array = np.rot90(array, quarters)
    return array[:, ::-1] if mirrored else array


def description_of(exif: Image.Exif) -> bytes | None:
    """The tags of a TIFF file that describe the image and its origin, as EXIF data; None without such tags.

    The other tags describe how the file stores its pixels.
    """
    kept = Image.Exif()
    for tag in TEXTS:
        if tag in exif:
            kept[tag] = exif[tag]
    for tag in DIRECTORIES:
        if values := exif.get_ifd(tag):
            kept.get_ifd(tag).update(values)
            kept[tag] = dict(values)
    return kept.tobytes() if len(kept) else None


def write(file: IO[bytes], array: np.ndarray, notes: dict) -> None:
    """Write an array (H, W) or (H, W, C) of any depth, with its colour profile and EXIF data."""
    tifffile = need("tifffile", "writing this kind of TIFF file")
    channels = 1 if array.ndim == 2 else array.shape[2]
    colour = channels in (3, 4) and array.dtype.kind == "u"
    settings = {"photometric": "rgb" if colour else "minisblack", "iccprofile": notes.get("icc_profile")}
    settings |= {"planarconfig": "contig"} if channels > 1 else {}
    exif = Image.Exif()
    exif.load(notes.get("exif", b""))
    content = io.BytesIO()  # tifffile needs a file with a name, or a BytesIO
    tifffile.imwrite(content, array, byteorder="<", **settings, **_tags(exif))
    _add_directories(content, {tag: values for tag in DIRECTORIES if (values := exif.get_ifd(tag))})
    file.write(content.getbuffer())


def _tags(exif: Image.Exif) -> dict:
    """The arguments of tifffile.imwrite for the text tags of EXIF data."""
    texts = {tag: str(exif[tag]) for tag in TEXTS if tag in exif}
    date = texts.pop(DATE, "")
    found: dict[str, Any] = (
        {"datetime": date} if re.fullmatch(r"[\d :]{16}:\d\d", date) else {}
    )  # tifffile refuses other forms
    usual = {"description": DESCRIPTION, "software": SOFTWARE}
    found |= {name: texts.pop(tag).encode() for name, tag in usual.items() if tag in texts}
    extra = [(tag, "s", 0, text.encode(), True) for tag, text in texts.items()]
    return {**found, "extratags": extra, **({"metadata": None} if "description" in found else {})}


def _add_directories(content: io.BytesIO, directories: dict[int, dict]) -> None:
    """Add directories of tags, which tifffile does not write, to the first page of a TIFF file.

    They are appended, followed by a new list of the page's tags, to which the header then points.
    """
    header = bytes(content.getbuffer()[:8])
    if not directories or header[:4] != LITTLE_ENDIAN:  # files of more than 4 GB have lists of another form
        return
    start = struct.unpack("<I", header[4:])[0]
    count = struct.unpack("<H", content.getbuffer()[start : start + 2])[0]
    listed = bytes(content.getbuffer()[start + 2 : start + 2 + ENTRY * count])
    entries = [listed[place : place + ENTRY] for place in range(0, len(listed), ENTRY)]
    for tag, values in directories.items():
        directory = TiffImagePlugin.ImageFileDirectory_v2(LITTLE_ENDIAN + bytes(4), group=tag)
        for each, value in values.items():
            directory[each] = value
        place = _even_end(content)
        content.write(directory.tobytes(place))
        entries.append(struct.pack("<HHII", tag, LONG, 1, place))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    place = _even_end(content)
    content.write(struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
    content.seek(4)
    content.write(struct.pack("<I", place))


def _even_end(content: io.BytesIO) -> int:
    """Seek to the end of the file, padded to an even offset, which TIFF requires."""
    end = content.seek(0, io.SEEK_END)
    content.write(bytes(end % 2))
    return end + end % 2
