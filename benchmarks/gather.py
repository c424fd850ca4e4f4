"""Put what the parts of gpu.sh left in a folder into one JSON file: ``python benchmarks/gather.py FOLDER FILE``."""

import json
import os
import sys
from pathlib import Path

STOPPED = (124, 137)  # exit codes of timeout


def gather(folder):
    """{part: {command, seconds, limit, exit_code, error, result}}; the error is the last a failed part said."""
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


def main(folder, file):
    made = Path(f"{file}.{os.getpid()}")  # parts may run side by side
    made.write_text(json.dumps({"benchmark": "gpu", "parts": gather(folder)}, indent=1) + "\n", encoding="utf-8")
    made.replace(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
