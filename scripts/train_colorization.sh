#!/usr/bin/env bash
# Colours for the lightness of photos, by pix2pix, from any folders train and test of colour images.
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" train.py --model colorization --dataroot ./datasets/colorization --name color_pix2pix "$@"
