"""Flags of SimDCL: those of DCLGAN, and the weight of its own loss."""

from models import get_option_setter
from util.flags import Float


def add_options(parser, is_train=True):
    parser = get_option_setter("dclgan")(parser, is_train)
    # As released: the code declares a weight of 2 and never multiplies by it.
    parser.set_defaults(lambda_NCE=1.0, DCL_mode="SIM")
    parser.add_argument("--lambda_SIM", type=Float(low=0), default=10.0, help="weight of the similarity loss")
    return parser
