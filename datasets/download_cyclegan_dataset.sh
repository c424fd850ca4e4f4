#!/usr/bin/env bash
root=$(cd "$(dirname "$0")/.." && pwd) && PATH="$root/.venv/bin:$PATH"
exec "${PYTHON:-python3}" "$root/datasets/download.py" --of cyclegan "$@"
