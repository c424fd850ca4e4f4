"""Flags of ``--dataset_mode unaligned``."""

from util.flags import SWITCH


def add_options(parser, is_train):
    if is_train:
        # A model's default comes first and stays: argparse would let default=False here win over it.
        default = parser.get_default("finetune_crop") or False
        help = "after --n_epochs epochs scale images straight to --crop_size, without the jitter of cropping"
        parser.add_argument("--finetune_crop", **SWITCH, default=default, help=help)
    return parser
