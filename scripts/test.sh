#!/usr/bin/env bash
# Sets up .venv if necessary, then runs ruff, mypy and pytest. Further arguments go to pytest; --slow adds the slow tests.
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
mypy
exec python -m pytest -m "$marker" ${words[@]+"${words[@]}"}
