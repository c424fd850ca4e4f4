#!/usr/bin/env bash
# One direction of a trained run (here of scripts/train_cyclegan.sh) on a plain folder of images.
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" test.py --model test --dataroot ./datasets/maps/testA --name maps_cyclegan "$@"
