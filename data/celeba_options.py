"""Flags of ``--dataset_mode celeba``."""

from data.labelled_options import add_labelled_flags
from util.flags import refuse

reads_plain_folders = True


def add_attribute_flags(parser):
    parser.add_argument("--attr_path", help="attribute file (none given: the one in --dataroot)")
    parser.add_argument("--celeba_image_dir", help="folder of its images (none given: images in --dataroot)")


def add_options(parser, is_train):
    add_labelled_flags(parser, "celeba", "celeba")
    refuse(parser, "--dataset_mode celeba", domains="name its attributes with --selected_attrs")
    add_attribute_flags(parser)
    parser.set_defaults(c_dim=len(parser.parse_known_args()[0].selected_attrs), domains=[])
    return parser
