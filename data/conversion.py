"""Images of any kind as the tensors that networks take, and back as images of the same kind.

========================  =============================================  ==========================================
kind                      values in                                      values out
========================  =============================================  ==========================================
PIL image                 8 or 16 bits, or "F" with values in [0, 1]     a PIL image of the same mode
path                      an image file                                  a PIL image of the file's mode, upright
numpy array               (H, W) or (H, W, C): uint8, uint16, or         an array of the same dtype
                          floating point in [0, 1]
tensor                    (C, H, W) or (N, C, H, W) in [-1, 1]           a tensor of the same dtype and device
========================  =============================================  ==========================================
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from util.errors import InputError

INTEGER_RANGES = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, the weights of PIL's mode L
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
KEPT = ("icc_profile", "exif", "dpi")  # entries of a PIL image's info that its translation keeps
EXPECTED = "expected a path, a PIL image, a numpy array (H, W) or (H, W, C), or a tensor (C, H, W) or (N, C, H, W)"

Back = Callable[[torch.Tensor], Any]


def to_tensor(image: Any, channels: int) -> tuple[torch.Tensor, Back]:
    """(tensor (C, H, W) or (N, C, H, W) in [-1, 1] with `channels` channels, function from a result to the same kind).

    Gray becomes colour by repetition and colour becomes gray by luma where `channels` asks for it; a result is then
    converted back to the image's own number of channels. Raises TypeError for another kind of object, ValueError for
    values, shapes or channel counts that do not fit.
    """
    if isinstance(image, str | os.PathLike):
        image = read_upright(image)
    if isinstance(image, Image.Image):
        return _from_pil(image, channels)
    if isinstance(image, np.ndarray):
        return _from_array(image, channels)
    if isinstance(image, torch.Tensor):
        return _from_tensor(image, channels)
    raise TypeError(f"{type(image).__name__}: {EXPECTED}")


def read_upright(path: str | os.PathLike) -> Image.Image:
    """The image file in its own mode, turned as its EXIF orientation says. Raises InputError naming the path."""
    from data.pictures import FORMATS, reason

    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many types of exceptions for damaged files
        raise InputError(f"{os.fspath(path)}: {reason(error)}") from error


def _from_pil(image: Image.Image, channels: int) -> tuple[torch.Tensor, Back]:
    mode = image.mode
    if mode in SIXTEEN_BIT or mode == "F":
        values = np.asarray(image)
        if mode != "F":
            if values.min() < 0 or values.max() > 65535:
                raise ValueError(
                    f"a PIL image of mode {mode} with values outside 0 to 65535: convert it to 8 or 16 bits"
                )
            values = values.astype(np.uint16)
        tensor, back = _from_array(values, channels)
        return tensor, lambda made: _high_depth_image(back(made), mode)
    alpha = image.getchannel("A") if "A" in image.getbands() else None
    plain = image.convert("L" if mode in ("L", "LA", "1") else "RGB")
    tensor, back = _from_array(np.asarray(plain), channels)
    notes = {key: image.info[key] for key in KEPT if key in image.info}
    return tensor, lambda made: _like(Image.fromarray(back(made)), mode, alpha, notes)


def _high_depth_image(values: np.ndarray, mode: str) -> Image.Image:
    """A 16-bit or floating-point image; colour has no such mode in PIL and becomes 8-bit RGB."""
    if values.ndim == 3:
        scale = 255 / INTEGER_RANGES.get(values.dtype, 1)
        return Image.fromarray(np.rint(np.clip(values * scale, 0, 255)).astype(np.uint8))
    if mode == "I":
        return Image.fromarray(values.astype(np.int32))
    return Image.fromarray(values.astype(np.float32 if mode == "F" else np.uint16))


def _like(made: Image.Image, mode: str, alpha: Image.Image | None, notes: dict) -> Image.Image:
    """`made` (L or RGB) in the mode of the source, with its transparency and notes (colour profile, EXIF data).

    A colour result of a gray image stays RGB; the profile of the gray image does not apply to it.
    """
    gray_mode = mode in ("L", "LA", "1")
    if made.mode == "RGB" and gray_mode:
        mode = "RGBA" if alpha is not None else "RGB"
        notes = {key: value for key, value in notes.items() if key != "icc_profile"}
    made = made.convert(mode) if made.mode != mode else made
    if alpha is not None and alpha.size == made.size:
        made.putalpha(alpha)
    made.info.update(notes)
    return made


def _from_array(image: np.ndarray, channels: int) -> tuple[torch.Tensor, Back]:
    dtype = image.dtype
    if dtype not in INTEGER_RANGES and dtype.kind != "f":
        raise TypeError(f"an array of {dtype}: expected uint8, uint16 or floating point")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"an array of shape {image.shape}: expected (H, W) or (H, W, C)")
    if dtype.kind == "f" and not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        raise ValueError("a floating-point array with values outside [0, 1]: scale its values to this range")
    flat, white = image.ndim == 2, INTEGER_RANGES.get(dtype, 1)
    values = image[:, :, None] if flat else image
    own_channels = values.shape[2]
    tensor = torch.from_numpy(_with_channels(values, channels).astype(np.float32)).permute(2, 0, 1)
    tensor = tensor.div(white).mul_(2).sub_(1)

    def back(made: torch.Tensor) -> np.ndarray:
        values = (made.detach().float().cpu().clamp(-1, 1).permute(1, 2, 0).numpy() + 1) / 2 * white
        if own_channels != channels:
            values = _with_channels(values, own_channels)
        values = np.rint(values).astype(dtype) if dtype.kind != "f" else values.astype(dtype)
        return values[:, :, 0] if values.shape[2] == 1 and (flat or channels != 1) else values

    return tensor.contiguous(), back


def _with_channels(values: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, channels) of (H, W, C)."""
    own = values.shape[2]
    if own == channels:
        return values
    if own == 1 and channels == 3:
        return np.repeat(values, 3, axis=2)
    if own == 3 and channels == 1:
        if values.dtype == np.uint8:  # PIL's rounding, as in the data sets
            return np.asarray(Image.fromarray(values).convert("L"))[:, :, None]
        return (values.astype(np.float64) @ np.array(LUMA))[:, :, None]
    raise ValueError(f"an image of {own} channels: expected {channels}, or 1 and 3, which are converted to each other")


def _from_tensor(image: torch.Tensor, channels: int) -> tuple[torch.Tensor, Back]:
    if not image.is_floating_point():
        raise TypeError(f"a tensor of {image.dtype}: expected floating point in [-1, 1]")
    if image.dim() not in (3, 4) or 0 in image.shape:
        raise ValueError(f"a tensor of shape {tuple(image.shape)}: expected (C, H, W) or (N, C, H, W)")
    if image.shape[-3] != channels:
        raise ValueError(f"a tensor of {image.shape[-3]} channels: expected {channels}")
    if not (image.detach().abs().max() <= 1):
        raise ValueError("a tensor with values outside [-1, 1]: scale its values to this range")
    return image.detach().float(), lambda made: made.to(image.device, image.dtype)
