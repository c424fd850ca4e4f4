#!/usr/bin/env bash
# Results of scripts/train_stargan.sh, to results/celeba_stargan; attributes and networks are read from the run.
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" test.py --dataroot ./datasets/celeba --name celeba_stargan "$@"
