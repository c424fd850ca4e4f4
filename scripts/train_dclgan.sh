#!/usr/bin/env bash
# DCLGAN on Grumpy Cat, as published: 400 epochs at 256 pixels.
# Data: bash datasets/download_cut_dataset.sh grumpifycat
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" train.py --model dclgan --dataroot ./datasets/grumpifycat --name grumpycat_DCL "$@"
