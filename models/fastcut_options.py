"""Flags of FastCUT: those of CUT, with other defaults."""

from models import get_option_setter
from models.cut_options import FASTCUT, FASTCUT_SCHEDULE


def add_options(parser, is_train=True):
    parser = get_option_setter("cut")(parser, is_train)
    parser.set_defaults(CUT_mode="FastCUT", **FASTCUT, **(FASTCUT_SCHEDULE if is_train else {}))
    return parser
