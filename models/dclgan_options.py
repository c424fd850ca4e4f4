"""Flags of DCLGAN."""

from models.contrast_options import add_family_options
from util.flags import Float


def add_options(parser, is_train=True):
    add_family_options(parser, is_train, "4,8,12,16", lambda_NCE=2.0)
    if is_train:
        parser.set_defaults(gan_mode="hinge")
    parser.add_argument("--DCL_mode", default="DCL", help="DCL; the other of the original's is --model simdcl")
    parser.add_argument("--lambda_IDT", type=Float(low=0), default=1.0, help="weight of |G_A(B) - B|, |G_B(A) - A|")
    return parser
