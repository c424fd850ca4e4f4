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
bash scripts/setup.sh dev dashboard
export PATH="$PWD/.venv/bin:$PATH"

# The tests of web pages need the system's Chromium; without it they are skipped, with this reason.
if ! command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; then
        echo "test: installed chromium for the tests of the pages"
    else
        echo "test: no Chromium here, so the tests of the pages are skipped (apt-get install chromium)"
    fi
fi

ruff check .
ruff format --check .
mypy
# A worker for each core; the tests of a file stay in one worker, which makes their fixtures once. -n 0: in one process.
exec python -m pytest -m "$marker" -n logical --maxprocesses 8 --dist loadfile ${words[@]+"${words[@]}"}
