"""What ``--dataset_mode colorization`` changes in the flags: from lightness to two colour channels."""


def add_options(parser, is_train):
    parser.set_defaults(input_nc=1, output_nc=2, direction="AtoB")
    return parser
