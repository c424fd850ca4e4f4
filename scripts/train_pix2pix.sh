#!/usr/bin/env bash
# pix2pix from label maps to facade photos, as published: 200 epochs at 256 pixels.
# Data: bash datasets/download_pix2pix_dataset.sh facades
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" train.py --model pix2pix --dataroot ./datasets/facades --name facades_pix2pix --direction BtoA \
    --netG unet_256 --norm batch --lambda_L1 100 --pool_size 0 "$@"
