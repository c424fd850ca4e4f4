"""MODEL_CARD.md beside an exported model: its training data and options, its scores and its limits."""

from __future__ import annotations

import json
import os
import re
from argparse import Namespace
from typing import Any

from util.files import write_text

NAME = "MODEL_CARD.md"
LICENSE = re.compile(r"^license: *(.*)$", re.MULTILINE)
UNKNOWN = "unknown  # fill in: the licence of these weights, which may depend on the data"
NAMED = ("run", "epoch", "model", "format")  # named above the list of a program's input and output
SHOWN = ("model", "netG", "ngf", "normG", "input_nc", "output_nc", "batch_size", "n_epochs", "n_epochs_decay",
         "n_iters", "n_iters_decay", "lr", "lr_G", "lr_D", "g_lr", "gan_mode", "diffaugment",
         "precision", "ema", "seed")  # fmt: skip


def write(file: str, opt: Namespace, described: dict[str, Any]) -> str:
    """Write the card of an exported `file`; returns its path.

    An earlier card of the same file is replaced, but its licence is kept. If the folder has a card of another file,
    the new card is ``<file>.MODEL_CARD.md``.
    """
    path = os.path.join(os.path.dirname(os.path.abspath(file)), NAME)
    before = _read(path)
    if before and _mark(file) not in before:
        path = f"{os.path.abspath(file)}.{NAME}"
        before = _read(path)
    found = LICENSE.search(before)
    write_text(path, card(file, opt, described, found[1] if found else UNKNOWN))
    return path


def card(file: str, opt: Namespace, described: dict[str, Any], license: str = UNKNOWN) -> str:
    """The text of the card. The lines between the ``---`` are YAML that model hubs read."""
    options = {name: getattr(opt, name, None) for name in SHOWN}
    return "\n".join(
        [
            *("---", f"license: {license}", "library_name: metamer", "pipeline_tag: image-to-image", "---"),
            *("", f"# {opt.name}", "", _mark(file), ""),
            f"An image-to-image translation network of the run `{opt.name}` (checkpoint `{opt.epoch}`), trained with "
            f"Metamer as `--model {opt.model}` and exported as {described['format']}.",
            *("", "## Data", "", *_lines(_data(opt)), "", "## Options", ""),
            *_lines({name: value for name, value in options.items() if value not in (None, "", [], 0)}),
            *("", "## Input and output", "", *_lines({k: v for k, v in described.items() if k not in NAMED})),
            *("", "## Metrics", "", *_metrics(os.path.join(opt.checkpoints_dir, opt.name))),
            *("", "## Limits", "", *(f"- {line}" for line in _limits(opt)), ""),
        ]
    )


def _mark(file: str) -> str:
    return f"File: `{os.path.basename(file)}`"


def _read(path: str) -> str:
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _lines(values: dict[str, Any]) -> list[str]:
    return [
        f"- {name}: {value if isinstance(value, str) else json.dumps(value, default=str)}"
        for name, value in values.items()
    ]


def _data(opt: Namespace) -> dict[str, Any]:
    """The settings of the data. Of the path, only the last part: the rest describes a machine."""
    sizes = {"load_size": opt.load_size, "crop_size": opt.crop_size, "preprocess": opt.preprocess}
    names = [*getattr(opt, "selected_attrs", ()), *getattr(opt, "domains", ())]
    folder = os.path.basename(os.path.abspath(str(opt.dataroot)))
    return {"folder": folder, "dataset_mode": opt.dataset_mode, "direction of training": opt.direction, **sizes,
            **({"domains": ", ".join(names)} if names else {})}  # fmt: skip


def _metrics(folder: str) -> list[str]:
    """The scores in the last line of the run's metrics.jsonl."""
    lines = _read(os.path.join(folder, "metrics.jsonl")).splitlines()
    try:
        last = json.loads(lines[-1])
        values = {name: each.get("value") if isinstance(each, dict) else each for name, each in last["metrics"].items()}
        return [f"After {last['images_seen']} images:", "", *_lines(values)]
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        return ["None were measured in the training (`--eval_freq`); `scripts/evaluate.py` measures images."]


def _limits(opt: Namespace) -> list[str]:
    return [
        "Images unlike the training data are translated, too, and the result may be meaningless.",
        "The result shows what the network makes plausible, not what is true: it is no measurement of the scene.",
        f"Trained on images of {opt.crop_size} pixels; objects of another scale may be translated worse.",
    ]
