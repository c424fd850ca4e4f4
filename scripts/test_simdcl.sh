#!/usr/bin/env bash
# Results of scripts/train_simdcl.sh, to results/grumpycat_SimDCL; what the networks look like is read from the run.
# The set has no test images, so these are the training images.
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" test.py --dataroot ./datasets/grumpifycat --name grumpycat_SimDCL --phase train "$@"
