#!/usr/bin/env bash
# StarGAN on CelebA, as published: five attributes at 128 pixels, 200,000 iterations of 16 images.
# Data: python datasets/download.py celeba
# Flags that you add come last and win; paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
exec "${PYTHON:-python3}" train.py --model stargan --dataset_mode celeba --dataroot ./datasets/celeba \
    --name celeba_stargan --image_size 128 --selected_attrs Black_Hair Blond_Hair Brown_Hair Male Young "$@"
