#!/usr/bin/env bash
# Results of scripts/train_cyclegan.sh, to results/maps_cyclegan; what the networks look like is read from the run.
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" test.py --dataroot ./datasets/maps --name maps_cyclegan "$@"
