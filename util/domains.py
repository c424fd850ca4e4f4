"""What labelled data sets and the model that learns from them share: the names of the domains, and the image size.

Both declare these flags, so that a data set works for other models, and a model tests on images without labels.
"""

from typing import Any

from util.flags import Int, declare

SELECTED = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")  # the attributes of the released models


def add_flags(parser: Any) -> None:
    """--selected_attrs, --domains and --image_size, unless they are declared already."""
    if "selected_attrs" in parser.names():
        return
    flag = declare(parser, scope="network")
    flag("--selected_attrs", "--list", nargs="+", default=[*SELECTED], help="attributes to learn, in this order")
    flag("--domains", nargs="+", default=[], help="folders to learn, in this order (none given: all of them, sorted)")
    help = "height and width of the images, after the central crop"
    flag("--image_size", type=Int(1), default=128, help=help, scope="data")
