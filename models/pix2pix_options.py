"""Flags of pix2pix."""

from util.flags import Float


def add_options(parser, is_train=True):
    parser.set_defaults(norm="batch", netG="unet_256", dataset_mode="aligned")
    if is_train:
        parser.set_defaults(pool_size=0, gan_mode="vanilla")
        parser.add_argument("--lambda_L1", type=Float(low=0), default=100.0, help="weight of the L1 loss")
    return parser
