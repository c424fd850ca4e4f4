"""The command ``metamer``: ``metamer train ...`` is ``python train.py ...`` of a checkout, and so for every program."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from difflib import get_close_matches

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "program")
FOLDERS = ("", "scripts", "datasets")
NOT_COMMANDS = ("metamer",)


def programs() -> dict[str, str]:
    """name -> file of every program: what has a main() in it."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for name in sorted(os.listdir(os.path.join(PROGRAM, folder))):
            path, (stem, ending) = os.path.join(PROGRAM, folder, name), os.path.splitext(name)
            if ending == ".py" and stem not in NOT_COMMANDS and '__name__ == "__main__"' in _text(path):
                found.setdefault(stem, path)
    return found


def _text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def usage(found: dict[str, str]) -> str:
    lines = ["usage: metamer COMMAND [flags]; metamer COMMAND -h lists the flags", ""]
    for name, path in found.items():
        first = (ast.get_docstring(ast.parse(_text(path))) or "").split("\n")[0]
        lines.append(f"  {name:28}{first}")
    return "\n".join(lines)


def main() -> int:
    found, words = programs(), sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(usage(found))
        return 0 if words else 2
    if words[0] not in found:
        close = get_close_matches(words[0], found, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "; metamer -h lists the commands"
        print(f"error: metamer {words[0]}: no such command{hint}", file=sys.stderr)
        return 2
    os.environ["METAMER_COMMAND"] = "metamer"  # programs name each other by it
    command = [sys.executable, found[words[0]], *words[1:]]
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], command)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
