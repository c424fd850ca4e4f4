"""Flags of CycleGAN."""

from util.flags import Float


def add_options(parser, is_train=True):
    parser.set_defaults(no_dropout=True)
    if is_train:
        parser.add_argument("--lambda_A", type=Float(low=0), default=10.0, help="weight of the cycle A -> B -> A")
        parser.add_argument("--lambda_B", type=Float(low=0), default=10.0, help="weight of the cycle B -> A -> B")
        parser.add_argument(
            "--lambda_identity",
            type=Float(low=0),
            default=0.5,
            help="weight of |G_A(B) - B| and |G_B(A) - A| in units of lambda_B and lambda_A: keeps colours",
        )
    return parser
