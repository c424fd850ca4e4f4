"""Flags of CUT."""

from models.contrast_options import add_family_options

FASTCUT = {"nce_idt": False, "lambda_NCE": 10.0, "flip_equivariance": True}
FASTCUT_SCHEDULE = {"n_epochs": 150, "n_epochs_decay": 50}


def add_options(parser, is_train=True):
    parser.add_argument("--CUT_mode", default="CUT", help="CUT | FastCUT")
    fast = parser.parse_known_args()[0].CUT_mode.lower() == "fastcut"
    schedule = FASTCUT_SCHEDULE if fast and is_train else {}
    return add_family_options(parser, is_train, "0,4,8,12,16", **(FASTCUT if fast else {}), **schedule)
