"""Collect the results of the parts of gpu.sh in one JSON file: ``python benchmarks/gather.py FOLDER FILE``.

``--imports`` prints in one line which packages can be imported; ``--table FILE`` prints all steps of such a file.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import harness

STOPPED = (124, 137)  # exit codes of timeout


def gather(folder):
    """{part: {command, seconds, limit, exit_code, error, result}}; the error is the last output of a failed part."""
    parts = {}
    for line in Path(folder, "parts").read_text(encoding="utf-8").splitlines():
        name, code, seconds, limit, command = line.split("\t")
        found = {"command": command, "seconds": int(seconds), "limit": int(limit), "exit_code": int(code)}
        result = Path(folder, f"{name}.json")
        found["error"] = error_of(found["exit_code"], Path(folder, f"{name}.err"))
        found["result"] = json.loads(result.read_text(encoding="utf-8")) if result.exists() else None
        parts[name] = found
    return parts


def error_of(exit_code, said):
    if exit_code == 0:
        return None
    last = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
    return "\n".join(["stopped at its limit"] * (exit_code in STOPPED) + last)


NEEDED = ("torch", "numpy", "PIL", "tqdm")  # by the steps; the rest by inference, growth and startup
PACKAGES = (*NEEDED, "torchvision", "dominate")


def imports():
    """(a line about the packages, whether the steps can run)."""
    found, missing = [], {}
    for name in PACKAGES:
        try:
            module = importlib.import_module(name)
            found.append(f"{name} {getattr(module, '__version__', '')}".strip())
        except Exception as error:  # a broken package raises many kinds of errors
            missing[name] = harness.reason(error)
    line = "imported: " + ", ".join(found)
    if missing:
        line += "; not imported: " + "; ".join(f"{name} ({why})" for name, why in missing.items())
    return line, not missing.keys() & set(NEEDED)


COLUMNS = {  # head -> (key of a row, digits, factor)
    "ms": ("seconds", 2, 1e3),
    "bf16 floor, ms": ("layers_seconds", 2, 1e3),
    "step/floor": ("over_layers", 2),
    "launches": ("launches", 0),
    "host ms": ("host_seconds", 2, 1e3),
    "idle": ("idle", 2),
    "MB": ("peak_memory", 0, 1e-6),
    "images/s": ("images_per_second", 1),
}


def print_table(file):
    """The steps of all parts. The floor is the sum over the convolutions and products of the step, each alone."""
    parts = json.loads(Path(file).read_text(encoding="utf-8"))["parts"]
    results = [part["result"] for part in parts.values() if part["result"]]
    rows = [row for result in results if result["benchmark"] == "steps" for row in result["rows"]]
    lines = []
    for row in rows:
        figures = (harness.shown(harness.median(row.get(key)), *how) for key, *how in COLUMNS.values())
        label = f"{row['model']}@{row['size']}x{row['batch']}"
        lines.append([label, row["variant"], *figures, (row["error"] or "")[:60]])
    if lines:
        harness.table(["model", "variant", *COLUMNS, ""], lines)


def main(folder, file):
    made = Path(f"{file}.{os.getpid()}")  # parts may run side by side
    made.write_text(json.dumps({"benchmark": "gpu", "parts": gather(folder)}, indent=1) + "\n", encoding="utf-8")
    made.replace(file)


if __name__ == "__main__":
    if sys.argv[1] == "--imports":
        line, enough = imports()
        print(line)
        sys.exit(0 if enough else 2)
    elif sys.argv[1] == "--table":
        print_table(sys.argv[2])
    else:
        main(*sys.argv[1:])
