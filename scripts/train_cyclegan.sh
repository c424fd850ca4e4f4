#!/usr/bin/env bash
# CycleGAN on aerial photos and maps, as published: 200 epochs at 256 pixels.
# Data: bash datasets/download_cyclegan_dataset.sh maps
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" train.py --model cycle_gan --dataroot ./datasets/maps --name maps_cyclegan --pool_size 50 --no_dropout "$@"
