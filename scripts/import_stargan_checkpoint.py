"""Make a run of the original StarGAN's checkpoint files, to test it or to go on training:

    python scripts/import_stargan_checkpoint.py --from stargan_celeba_128/models/200000-G.ckpt --name celeba_128
    python test.py --dataroot my_photos --name celeba_128 --targets Blond_Hair

The critic's file beside it (200000-D.ckpt) comes along if it is there. Sizes are read from the weights; the names of
the domains are not in them: give --selected_attrs or --domains unless they are the original's five attributes.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models import create_model
from options.parser import OptionParser
from options.train_options import TrainOptions
from util import checkpoint
from util.domains import SELECTED
from util.errors import InputError, clear_errors

HEADS = 2  # of a condition of attributes and domains: its mask


def generator_sizes(state, path):
    """Flag -> number, and the width of a condition, from the shapes of the generator's weights."""
    try:
        width, inputs = state["main.0.weight"].shape[:2]
        channels = state["main.21.weight"].shape[0] if "main.21.weight" in state else _last(state).shape[0]
    except KeyError:
        raise InputError(f"{path}: not a generator of StarGAN, which has a main.0.weight") from None
    blocks = sum(key.endswith(".main.0.weight") for key in state)
    return {"g_conv_dim": width, "g_repeat_num": blocks, "input_nc": channels, "output_nc": channels}, inputs - channels
