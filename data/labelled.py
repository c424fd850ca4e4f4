"""What data sets of labelled images share: their sizes, the central crop, and the words about both."""

from functools import partial

from PIL import Image

from data import transforms
from data.flags import USUAL_CROP
from data.pictures import open_image

BILINEAR = Image.Resampling.BILINEAR


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
