#!/usr/bin/env bash
# SinCUT on a painting of Monet and a photo of Etretat, as published: 16 epochs of 100,000 patches.
# Data: bash datasets/download_cut_dataset.sh single_image_monet_etretat
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" train.py --model sincut --dataroot ./datasets/single_image_monet_etretat --name singleimage_monet_etretat "$@"
