"""Flags that data sets of labelled images share: the image size, and the central crop before it."""

from util.domains import add_flags
from util.flags import Int, refuse

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
