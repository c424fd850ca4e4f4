"""The hint in the error about a flag that the chosen program, model and data set do not have."""

from collections.abc import Callable, Collection

import data.flags
import models.flags
from options import flags, old_flags
from util.errors import InputError, nearest, same_letters

# flag -> the reason why only some models have it
OF_PAIRS = ("--lambda_feat", "--lambda_perceptual", "--perceptual", "--perceptual_weights")
REASONS = dict.fromkeys(OF_PAIRS, "; the flag compares a translation with its true image, which only paired data has")

CHOICES = {"--model": models.flags.BY_NAME, "--dataset_mode": data.flags.BY_NAME}


def about_unknown(flag: str, known: Collection[str], is_train: bool, chosen: str) -> str:
    """The end of the message ``--x: no such flag here;``: the flag to use instead, or the programs that have the flag.

    `chosen` names the model of the command line, for example ``--model cycle_gan (the default)``.
    """
    if name := same_letters(flag, known):
        return f" did you mean {name!r}?"
    if end := old_flags.hint(flag):
        return f" {end}."
    program, other = ("train.py", "test.py") if is_train else ("test.py", "train.py")
    if owners := owners_of(flag, is_train):
        return f" it is a flag of {' and '.join(owners)}, and this is {chosen}{REASONS.get(flag, '')}."
    if same_letters(flag, flags_of(not is_train)) or owners_of(flag, not is_train):
        restored = "" if is_train else "; a test takes what it needs from the trained run"
        return f" it is a flag of {other}, not of {program}{restored}."
    begun = [name for name in known if name.startswith(flag)]
    return f" did you mean {begun[0]!r}?" if len(begun) == 1 else nearest(flag, known)


def owners_of(flag: str, is_train: bool) -> list[str]:
    """The built-in models and data sets that add the flag, as a user types them: ``--model cut``."""
    shared = flags_of(is_train)
    return [
        f"{choice} {name}"
        for choice, table in CHOICES.items()
        for name, setter in table.items()
        if same_letters(flag, flags_of(is_train, setter) - shared)
    ]


def flags_of(is_train: bool, setter: Callable | None = None) -> set[str]:
    """The flags of train.py or test.py; with the setter of a model or data set also the flags that it adds."""
    parser = flags.parser_with_flags(is_train)
    try:
        parser = setter(parser, is_train) if setter else parser
    except InputError:  # --model test can't be trained
        return set()
    return set(parser._option_string_actions)
