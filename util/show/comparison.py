"""The data of a page that compares runs: curves, metrics, options that differ, translations of the same inputs."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import unquote

from util.show.log import position_of
from util.show.page_files import roles
from util.show.run_pages import in_order, samples_of
from util.show.training_page import read_records

POINTS = 1000  # at most, of a curve
OWN = ("name", "checkpoints_dir", "results_dir", "suffix", "continue_train", "overwrite")  # options not to compare


def curves_of(run: str) -> dict[str, list[list[float]]]:
    """{loss: [[epochs done, value], ...]} of a run."""
    curves: dict[str, list[list[float]]] = {}
    for record in read_records(os.path.join(run, "loss_log.jsonl")):
        try:
            x = position_of(record)
            for name, value in record["losses"].items():
                curves.setdefault(name, []).append([x, float(value)])
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return {name: points[:: -(-len(points) // POINTS)] for name, points in curves.items()}


def metrics_of(runs: list[str], tests: list[str]) -> list[dict[str, Any]]:
    """[{name, values, intervals}] with a value of each run: of its test, else of its newest evaluation in training."""
    found = [_metrics(test) or _metrics(run) for test, run in zip(tests, runs)]
    names = dict.fromkeys(name for metrics in found for name in metrics)
    return [
        {
            "name": name,
            "values": [metrics.get(name, {}).get("value") for metrics in found],
            "intervals": [metrics.get(name, {}).get("interval") for metrics in found],
        }
        for name in names
    ]


def option_differences(runs: list[str]) -> list[dict[str, Any]]:
    """[{name, values}] of the options that are not the same in all runs."""
    options = [_json(os.path.join(run, "train_opt.json")).get("options", {}) for run in runs]
    names = sorted({name for each in options for name in each} - set(OWN))
    values = {name: [str(each.get(name, "-")) for each in options] for name in names}
    return [{"name": name, "values": each} for name, each in values.items() if len(set(each)) > 1]


def pictures_of_test(tests: list[str]) -> list[dict[str, Any]]:
    """[{name, input, outputs, truth}], as paths, of the images that all tests have; may be empty."""
    items = [_items(test) for test in tests]
    names = [name for name in items[0] if all(name in each for each in items)]
    stored = [_roles_of(test) for test in tests] if names else []
    return [_row(name, [each[name] for each in items], stored) for name in names]


def pictures_of_samples(runs: list[str]) -> list[dict[str, Any]]:
    """The same for the fixed samples in their newest epoch; samples of different runs match by their file."""
    found = []
    for run in runs:
        stored = _json(os.path.join(run, "samples.json")).get("paths", [])
        by_path = {}
        for number, by_epoch in samples_of(run).items():
            epochs = [epoch for epoch in by_epoch if epoch is not None]
            if epochs and number <= len(stored):
                # A sample with two files has an image of each side, but no truth.
                by_path[stored[number - 1][0], len(stored[number - 1]) == 1] = {
                    **by_epoch.get(None, {}),
                    **by_epoch[max(epochs)],
                }
        found.append(by_path)
    keys = [key for key in found[0] if all(key in each for each in found)]
    rows = []
    for path, paired in keys:
        files = [each[path, paired] for each in found]
        rows.append(_row(os.path.basename(path), files, [roles(in_order(each), paired) for each in files]))
    return rows


def _row(name, files, found):
    """`files`: {label: path} of each run, `found`: the roles of their labels."""
    outputs = [next((own[label] for label in each["outputs"] if label in own), None) for own, each in zip(files, found)]
    return {
        "name": name,
        "input": files[0].get(found[0]["input"]),
        "outputs": outputs,
        "truth": files[0].get(found[0]["truth"]),
    }


def _roles_of(test):
    """The roles of the labels of a results folder."""
    with open(os.path.join(test, "assets", "items.js"), encoding="ascii") as file:
        described = [line for line in file if line.startswith("metamer.describe(")]
    page = json.loads(described[-1].strip().removeprefix("metamer.describe(").removesuffix(");")) if described else {}
    return page.get("roles") or roles([], False)


def _items(test):
    """{image: {label: path}} of a results folder."""
    found = {}
    path = os.path.join(test, "assets", "items.js")
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            for line in file:
                if line.startswith("metamer.item("):
                    name, files, _ = json.loads(f"[{line.strip().removeprefix('metamer.item(').removesuffix(');')}]")
                    found[name] = {label: os.path.join(test, unquote(address)) for label, address in files.items()}
    return found


def _metrics(folder):
    metrics = _json(os.path.join(folder, "metrics.json")).get("metrics", {})
    return {name: metric for name, metric in metrics.items() if isinstance(metric, dict)}


def _json(path):
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
