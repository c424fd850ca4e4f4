#!/usr/bin/env bash
# Set up if needed, then lint and test. More arguments go to pytest; --slow adds the long tests.
#
#   bash scripts/test.sh [--slow] [pytest arguments]
set -euo pipefail

words=() marker="not slow"
for word in "$@"; do
    if [ "$word" = --slow ]; then marker=""; else words+=("$word"); fi
done
set --

cd "$(dirname "$0")/.."
bash scripts/setup.sh dev
export PATH="$PWD/.venv/bin:$PATH"

ruff check .
ruff format --check .
exec python -m pytest -m "$marker" ${words[@]+"${words[@]}"}
