"""The options that a run was trained with, read back from the JSON beside its checkpoints."""

import json
import os

from util.errors import InputError

FORMAT = 1


def read(checkpoints_dir, name):
    """The trained run's options as a dict of plain values, or None where no JSON lies beside its checkpoints."""
    path = os.path.join(checkpoints_dir, name, "train_opt.json")
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        version, options = stored["format"], dict(stored["options"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: can't be read ({error}); move it away to give the flags by hand") from None
    if version > FORMAT:
        raise InputError(f"{path}: written by a newer version of this program; update to use it")
    return options
