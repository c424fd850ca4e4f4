#!/usr/bin/env bash
# Results of scripts/train_sincut.sh, to results/singleimage_monet_etretat: the whole image at its full size.
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" test.py --dataroot ./datasets/single_image_monet_etretat --name singleimage_monet_etretat "$@"
