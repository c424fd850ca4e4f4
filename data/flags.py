"""The flags of the built-in data sets, and the defaults that a data set changes: one function per --dataset_mode.

This file does not import torch, so that -h and error messages take less than a second. The class of a data set
declares its function by ``modify_commandline_options = staticmethod(flags.<name>)``; see util/factory.py.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

from util.flags import SWITCH, Int, declare, refuse, words

Parser = argparse.ArgumentParser

# The words of --preprocess. data/base_dataset.py searches for parts of the word, so the two stages combine freely.
FIRST = ("resize", "scale_width", "scale_shortside", "zoom")
SECOND = ("crop", "patch", "trim")
PREPROCESS = (*(f"{first}_and_{second}" for second in SECOND for first in FIRST), *FIRST, *SECOND, "none")

# Data sets whose tests accept any folder of images.
READ_PLAIN_FOLDERS = ("celeba", "labelled_folders", "celeba_and_folders")


LABEL_MAPS = ("none", "A", "B", "both")


def add_label_maps(parser: Parser) -> None:
    help = f"sides whose images are label maps, resized to the value of the nearest pixel: {words(LABEL_MAPS)}"
    declare(parser, scope="data")("--label_maps", choices=LABEL_MAPS, default="none", help=help)


def aligned(parser: Parser, is_train: bool) -> Parser:
    add_label_maps(parser)
    help = "table (CSV) of the pairs: columns A and B of paths relative to the table, and maybe phase"
    declare(parser, scope="machine", resume=True)("--pairs", metavar="FILE", help=help)
    flag = declare(parser, scope="data")
    help = "sub-folders of <phase>A whose images are stacked in channels, as in depth normal"
    flag("--folders_A", nargs="+", default=[], help=help)
    flag("--folders_B", nargs="+", default=[], help="the same for <phase>B")
    return parser


def single(parser: Parser, is_train: bool) -> Parser:
    return parser


def unaligned(parser: Parser, is_train: bool) -> Parser:
    add_label_maps(parser)
    if is_train:
        # Keep the default that a model has set: with default=False argparse would replace it.
        default = parser.get_default("finetune_crop") or False
        help = "after --n_epochs epochs scale images straight to --crop_size, without the jitter of cropping"
        declare(parser, scope="data")("--finetune_crop", **SWITCH, default=default, help=help)
    return parser


def singleimage(parser: Parser, is_train: bool) -> Parser:
    return parser


def colorization(parser: Parser, is_train: bool) -> Parser:
    """No flags; the defaults are those of lightness as A and two colour channels as B."""
    parser.set_defaults(input_nc=1, output_nc=2, direction="AtoB")
    return parser


EIGHT_BITS = "it reads images of 8 bits"
SELECTED = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")  # the attributes of the released models


def add_domain_flags(parser: Any) -> None:
    """--selected_attrs, --domains and --image_size, unless they are declared already.

    Labelled data sets and StarGAN both declare them: such data sets work with other models, and a test of StarGAN with
    data sets without labels.
    """

    def flag(name, *others, **settings):
        if name.removeprefix("--") not in parser.names():
            declare(parser, scope="network")(name, *others, **settings)

    flag("--selected_attrs", "--list", nargs="+", default=[*SELECTED], help="attributes to learn, in this order")
    flag("--domains", nargs="+", default=[], help="folders to learn, in this order (none given: all of them, sorted)")
    help = "height and width of the images, after the central crop"
    flag("--image_size", type=Int(1), default=128, help=help, scope="data")


USUAL_CROP = {"celeba": 178, "rafd": 256}  # as released, for faces of 178x218 and of 256x256


def add_labelled(parser: Parser, mode: str, *kinds: str) -> None:
    """The flags of labelled images of these kinds; refuses the flags with which other data sets set sizes."""
    instead = "set the sizes with " + ", ".join([*(f"--{kind}_crop_size" for kind in kinds), "--image_size"])
    refuse(parser, f"--dataset_mode {mode}", load_size=instead, crop_size=instead, preprocess=instead)
    refuse(parser, f"--dataset_mode {mode}", data_range=EIGHT_BITS)
    add_domain_flags(parser)
    flag = declare(parser, scope="data")
    for kind in kinds:
        help = (
            "side of the central square that is cut out before scaling; a square larger than the image has black "
            f"borders (none given: {USUAL_CROP[kind]}, or the image's short side if it is smaller)"
        )
        flag(f"--{kind}_crop_size", type=Int(1), help=help)


def add_attribute_flags(parser: Parser) -> None:
    flag = declare(parser, scope="machine", resume=True)
    flag("--attr_path", help="attribute file (none given: the file in --dataroot)")
    flag("--celeba_image_dir", help="folder of its images (none given: images in --dataroot)")


def add_folder_flags(parser: Parser) -> None:
    flag = declare(parser, scope="machine", resume=True)
    flag("--rafd_image_dir", help="folder of the domains' folders (none given: --dataroot)")


def stand_in_for_dataroot(parser: Parser) -> None:
    """Without --dataroot, use the folders of --celeba_image_dir or --rafd_image_dir, as in the original StarGAN."""
    opt = parser.parse_known_args()[0]
    images = getattr(opt, "celeba_image_dir", None)
    if images and not opt.attr_path:  # the attribute file is usually beside the folder of images
        images = os.path.dirname(images.rstrip("/")) or "."
    if not opt.dataroot:
        parser.set_defaults(dataroot=images or getattr(opt, "rafd_image_dir", None))


def celeba(parser: Parser, is_train: bool) -> Parser:
    add_labelled(parser, "celeba", "celeba")
    refuse(parser, "--dataset_mode celeba", domains="name its attributes with --selected_attrs")
    add_attribute_flags(parser)
    stand_in_for_dataroot(parser)
    parser.set_defaults(c_dim=len(parser.parse_known_args()[0].selected_attrs), domains=[])
    return parser


def labelled_folders(parser: Parser, is_train: bool) -> Parser:
    add_labelled(parser, "labelled_folders", "rafd")
    refuse(parser, "--dataset_mode labelled_folders", selected_attrs="name its folders with --domains")
    add_folder_flags(parser)
    stand_in_for_dataroot(parser)
    opt = parser.parse_known_args()[0]
    domains = opt.domains or (find_domains(opt) if is_train and opt.dataroot else [])
    parser.set_defaults(domains=domains, c_dim=len(domains), selected_attrs=[])
    return parser


def celeba_and_folders(parser: Parser, is_train: bool) -> Parser:
    add_labelled(parser, "celeba_and_folders", "celeba", "rafd")
    add_attribute_flags(parser)
    add_folder_flags(parser)
    stand_in_for_dataroot(parser)
    opt = parser.parse_known_args()[0]
    domains = opt.domains or (find_domains(opt) if is_train and opt.dataroot else [])
    if "images" in domains and not opt.domains and not opt.rafd_image_dir:
        domains = [name for name in domains if name != "images"]  # the images with attributes are in this folder
    parser.set_defaults(domains=domains, c_dim=len(opt.selected_attrs), c2_dim=len(domains))
    if is_train:  # an iteration of the original is two of ours: a batch of each kind
        parser.set_defaults(**{name: 2 * parser.get_default(name) for name in ("n_iters", "n_iters_decay")})
    return parser


def domain_folder(opt: argparse.Namespace) -> str:
    """The folder that holds the domains' folders."""
    from data.folders import phase_of

    root = opt.rafd_image_dir or opt.dataroot
    own = os.path.join(root, phase_of(opt) if root == opt.dataroot else opt.phase)
    return own if os.path.isdir(own) else root


def find_domains(opt: argparse.Namespace) -> list[str]:
    """Names of the domains' folders that contain images, sorted."""
    from data.image_paths import make_dataset

    folder = domain_folder(opt)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    inside = ((name, os.path.join(folder, name)) for name in names if not name.startswith("."))
    return [name for name, path in inside if os.path.isdir(path) and make_dataset(path, 1)]


BY_NAME: dict[str, Callable] = {
    "unaligned": unaligned,
    "aligned": aligned,
    "single": single,
    "singleimage": singleimage,
    "colorization": colorization,
    "celeba": celeba,
    "labelled_folders": labelled_folders,
    "celeba_and_folders": celeba_and_folders,
}
