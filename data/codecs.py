"""Read and write files that PIL can't represent exactly: 16-bit colour PNG, TIFF of any depth and channel count, NPY,
NPZ.

16-bit colour PNG and compressed TIFF need the package imagecodecs, TIFF needs tifffile; both are imported only for a
file that needs them.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import IO

import numpy as np
from PIL import Image

from data import tiff
from util.errors import InputError

NUMPY = (".npy", ".npz")
EXACT_IN_PIL = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BITS, SAMPLES = 258, 277  # TIFF tags
PNG_START = b"\x89PNG\r\n\x1a\n"


def kind_of(file: str | os.PathLike | IO[bytes], name: str) -> str | None:
    """The decoder of read() for a file that PIL can't read or would round: PNG, TIFF, NPY or NPZ; else None."""
    ending = os.path.splitext(name)[1].lower()
    start = _start(file)
    if start.startswith(b"\x93NUMPY"):
        return "NPY"
    if ending == ".npz":
        return "NPZ"
    if start.startswith(PNG_START):
        return "PNG" if start[24:25] == b"\x10" and start[25:26] != b"\0" else None  # 16 bits, and not gray
    return "TIFF" if start[:4] in TIFF_STARTS and not _pil_is_exact(file) else None


def has_8_bits(file: str | os.PathLike | IO[bytes]) -> bool:
    """Whether an image file has at most 8 bits per value and only channels of gray, colour and transparency.

    True also for a file that can't be opened.
    """
    start = _start(file)
    if start.startswith(PNG_START):
        return start[24:25] != b"\x10"
    if start[:2] in (b"\xff\xd8", b"BM") or start[:4] in (b"RIFF", b"GIF8", b""):
        return True
    if start[:4] in TIFF_STARTS and not _pil_is_exact(file):
        return False
    if start.startswith((b"\x93NUMPY", b"PK")):
        return False
    try:
        with Image.open(file) as image:
            return image.mode not in EXACT_IN_PIL
    except Exception:  # decoders raise many types of exceptions; open_image reports them
        return True
    finally:
        _rewind(file)


def _rewind(file):
    if not isinstance(file, str | os.PathLike):
        file.seek(0)


def _start(file) -> bytes:
    if not isinstance(file, str | os.PathLike):
        start = file.read(32)
        file.seek(0)
        return start
    try:
        with open(file, "rb") as opened:
            return opened.read(32)
    except OSError:
        return b""  # the decoder reports it


def _pil_is_exact(file) -> bool:
    try:
        with Image.open(file, formats=("TIFF",)) as image:
            tags = image.tag_v2
            samples, bits = tags.get(SAMPLES, 1), tags.get(BITS, (1,))
            if image.mode in EXACT_IN_PIL:
                return samples == 1 and bits[0] == (32 if image.mode in "IF" else 16)
            return max(bits) <= 8 and samples == len(image.getbands())
    except Exception:  # a kind of TIFF that PIL has no decoder for
        return False
    finally:
        _rewind(file)


def read(file: str | os.PathLike | IO[bytes], kind: str) -> tuple[np.ndarray, dict]:
    """(upright array (H, W) or (H, W, C), {icc_profile, exif}) of a file; `kind` is its kind_of()."""
    if kind in ("NPY", "NPZ"):
        return _read_numpy(file, kind), {}
    return _read_png(file) if kind == "PNG" else tiff.read(file)


def _read_numpy(file, kind):
    array = np.load(file, allow_pickle=False)
    if kind == "NPZ":
        with array as arrays:
            if len(arrays.files) != 1:
                raise InputError(f"{len(arrays.files)} arrays in it ({', '.join(arrays.files[:5])}); expected one")
            array = arrays[arrays.files[0]]
    return array


def _read_png(file):
    codecs = tiff.need("imagecodecs", "a PNG file with 16 bits for each colour")
    content = file.read() if not isinstance(file, str | os.PathLike) else open(file, "rb").read()  # noqa: SIM115
    notes = {}
    for kind, body in _chunks(content):
        if kind == b"eXIf":
            notes["exif"] = b"Exif\0\0" + body
        elif kind == b"iCCP":
            notes["icc_profile"] = zlib.decompress(body.split(b"\0", 1)[1][1:])
    return codecs.png_decode(content), notes


def _chunks(content):
    place = len(PNG_START)
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        yield kind, content[place + 8 : place + 8 + length]
        place += 12 + length


def write(file: IO[bytes], array: np.ndarray, ending: str, notes: dict) -> bool:
    """Write an array (H, W) or (H, W, C); returns False, and writes nothing, if PIL can write it.

    `ending` is the ending of the file's name, such as ".tif". Raises InputError if the format can't hold the array.
    """
    channels = 1 if array.ndim == 2 else array.shape[2]
    if ending in NUMPY:
        np.save(file, array) if ending == ".npy" else np.savez(file, array)
        return True
    if _pil_writes(array.dtype, channels, ending):
        return False
    if ending in (".tif", ".tiff"):
        tiff.write(file, array, notes)
    elif ending == ".png" and array.dtype == np.uint16 and channels <= 4:
        codecs = tiff.need("imagecodecs", "a PNG file with 16 bits for each colour")
        file.write(_with_notes(codecs.png_encode(np.ascontiguousarray(array)), notes))
    else:
        holds = "8 or 16 bits and at most 4 channels" if ending == ".png" else "8 bits and at most 4 channels"
        raise InputError(
            f"a {ending} file holds {holds}, and this image has {channels} channels of {array.dtype}; "
            "choose tif, npy or npz"
        )
    return True


def _pil_writes(dtype: np.dtype, channels: int, ending: str) -> bool:
    if dtype == np.uint8:
        return channels <= 4
    gray = {".png": ("uint16",), ".tif": ("uint16", "int32", "float32"), ".tiff": ("uint16", "int32", "float32")}
    return channels == 1 and dtype.name in gray.get(ending, ())


def _with_notes(png: bytes, notes: dict) -> bytes:
    """The PNG file with the colour profile and EXIF data inserted as chunks after the header."""
    header = len(PNG_START) + 25
    extra = b""
    if notes.get("icc_profile"):
        extra += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(notes["icc_profile"]))
    if notes.get("exif"):
        extra += _chunk(b"eXIf", notes["exif"].removeprefix(b"Exif\0\0"))
    return png[:header] + extra + png[header:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
