"""The earlier name of scripts/import_checkpoint.py for StarGAN: ``--from FILE`` is its FILE."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import import_checkpoint
from util.errors import clear_errors


def main(command_line=None):
    words = sys.argv[1:] if command_line is None else command_line
    import_checkpoint.main([word for word in words if word != "--from"])


if __name__ == "__main__":
    with clear_errors():
        main()
