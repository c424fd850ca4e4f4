"""What data sets of labelled images share: their sizes, the central crop, and the words about both."""

from functools import partial

from PIL import Image

from data import transforms
from data.image_file import open_image
from util.domains import add_flags
from util.flags import Int, refuse

BILINEAR = Image.Resampling.BILINEAR
USUAL_CROP = {"celeba": 178, "rafd": 256}  # as released, for faces of 178x218 and of 256x256


def add_labelled_flags(parser, mode, *kinds):
    """Flags of a data mode that reads these kinds of data; refuses those that other modes have for sizes."""
    instead = "the sizes here are " + ", ".join([*(f"--{kind}_crop_size" for kind in kinds), "--image_size"])
    refuse(parser, f"--dataset_mode {mode}", load_size=instead, crop_size=instead, preprocess=instead)
    add_flags(parser)
    for kind in kinds:
        parser.add_argument(
            f"--{kind}_crop_size",
            type=Int(1),
            help=f"side of the central square that is cut out before scaling; beyond the image it is black "
            f"(none given: {USUAL_CROP[kind]}, or the image's short side where that is smaller)",
        )


def centre_crop(image, size=None, usual=256):
    """The central square of `size` pixels, black beyond the image; without a size at most `usual`, never beyond it."""
    side = size or min(usual, *image.size)
    left, top = (_start(length, side) for length in image.size)
    return image.crop((left, top, left + side, top + side))


def _start(length, side):
    # As torchvision's CenterCrop: what is too short gets the odd black line at its end.
    return round((length - side) / 2) if length >= side else -((side - length) // 2)


def labelled_transform(opt, kind):
    """Image -> (C, image_size, image_size) in [-1, 1]: mirrored at random, cropped, scaled, in the released order."""
    stages = [transforms.to_gray] if opt.input_nc == 1 else []
    if opt.isTrain and not opt.no_flip:
        stages.append(transforms.flip)
    crop = partial(centre_crop, size=getattr(opt, f"{kind}_crop_size"), usual=USUAL_CROP[kind])
    resize = partial(transforms.resize, size=(opt.image_size, opt.image_size), method=BILINEAR)
    return transforms.Compose([*stages, crop, resize, transforms.to_tensor])


def say_sizes(opt, kind, path):
    """Print what becomes of the images, told for the first of them."""
    width, height = open_image(path).size
    asked = getattr(opt, f"{kind}_crop_size")
    side = asked or min(USUAL_CROP[kind], width, height)
    black = ", black beyond the image" if side > min(width, height) else ""
    print(
        f"images of {width}x{height}: the central {side}x{side}{black} (--{kind}_crop_size), "
        f"scaled to {opt.image_size}x{opt.image_size} (--image_size)"
    )
