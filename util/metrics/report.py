"""Scores as a table for the console, and as JSON without infinities."""

import json
import math
from typing import Any

from util.files import write_text


def plain(value: Any) -> Any:
    """The value with infinities and NaN as text, which float() reads, because JSON lacks them."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def write_scores(path: str, scores: dict) -> None:
    write_text(path, json.dumps(plain(scores), indent=1) + "\n")


def table(scores: dict) -> str:
    """The text for the console: a line for each metric."""
    lines = [f"{'metric':<16}{'value':>12}  {'95 % interval':<24}computed by"]
    for name, metric in scores["metrics"].items():
        interval = "-"
        if metric["interval"] is not None:
            interval = "[{:.5g}, {:.5g}]".format(*metric["interval"])
        record = metric["provenance"]
        origin = f"{record['implementation']} {record['version']}, samples {_shown(record['samples'])}"
        if "feature_network" in record:
            network = record["feature_network"]
            origin += f", {network['network']} {network['sha256'][:8]}"
        lines.append(f"{name:<16}{metric['value']:>12.5g}  {interval:<24}{origin}")
    lines += [f"{name:<16}{'skipped':>12}  {reason}" for name, reason in scores["skipped"].items()]
    return "\n".join(lines)


def _shown(samples):
    return " + ".join(f"{count} {side}" for side, count in samples.items()) if isinstance(samples, dict) else samples
