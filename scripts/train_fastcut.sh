#!/usr/bin/env bash
# FastCUT on Grumpy Cat, as published: 200 epochs at 256 pixels, one direction, lighter than CUT.
# Data: bash datasets/download_cut_dataset.sh grumpifycat
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" train.py --model fastcut --dataroot ./datasets/grumpifycat --name grumpycat_FastCUT "$@"
