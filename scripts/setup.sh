#!/usr/bin/env bash
# Makes .venv in the repository root and installs the requirements; does nothing if this was done before.
#
#   bash scripts/setup.sh [dev|tensorboard|wandb|...] [dashboard]     any extra named in pyproject.toml
#   source scripts/setup.sh [...]                                     the same, and .venv comes first in PATH
#
# `dashboard` also fetches the browser files of visdom's page; if this fails, a message is printed and the setup goes on.
# PYTHON=/path/to/python chooses the interpreter of a new .venv. An install that was killed is resumed by the next run.

if [ "${BASH_SOURCE[0]}" != "$0" ]; then
    # A file that is sourced without arguments gets those of the sourcing script, so unknown words are ignored.
    VIRTUAL_ENV="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.venv"
    metamer_words=()
    for metamer_word in "$@"; do
        if [ "$metamer_word" = dashboard ] || grep -q "^$metamer_word = \[\"" "$VIRTUAL_ENV/../pyproject.toml"; then
            metamer_words+=("$metamer_word")
        fi
    done
    bash "${BASH_SOURCE[0]}" ${metamer_words[@]+"${metamer_words[@]}"} || return 1
    export VIRTUAL_ENV PATH="$VIRTUAL_ENV/bin:$PATH"
    unset metamer_word metamer_words
    return 0
fi

set -euo pipefail
exec 9<"$0" # a lock until the end, so that a second setup waits for the first
cd "$(dirname "$0")/.."
! command -v flock >/dev/null || flock 9

say() { echo "setup: $*" >&2; }
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }
version_of() { "$1" -c 'import sys; print(sys.version)' 2>/dev/null; }

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" && echo "$PYTHON" && return
        say "PYTHON=$PYTHON is not a Python 3.10 or newer"
        return 1
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
        is_new_enough "$candidate" && echo "$candidate" && return
    done
    say "no Python 3.10 or newer was found: install one, or name it: PYTHON=/path/to/python bash scripts/setup.sh"
    return 1
}

make_venv() {
    if .venv/bin/python -m pip --version >/dev/null 2>&1; then
        [ -n "${PYTHON:-}" ] && [ "$(version_of "$PYTHON")" != "$(version_of .venv/bin/python)" ] || return 0
    fi
    local python
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv && return
    say "could not make .venv: is the venv module there (Debian: apt-get install python3-venv)?"
    return 1
}

# Print the requirements of the given extras, one a line. Python 3.10 has no tomllib, but pip contains the same as tomli.
extras() {
    .venv/bin/python - "$@" <<'PYTHON'
import sys

try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
with open("pyproject.toml", "rb") as file:
    known = tomllib.load(file)["project"]["optional-dependencies"]
for word in sys.argv[1:]:
    if word not in known:
        sys.exit(f"setup: no extra is named {word!r}; there are {', '.join(known)}")
    print("\n".join(known[word]))
PYTHON
}

install() {
    # visdom's setup.py imports pkg_resources, which setuptools 81 removed. For the build environment, newer versions of
    # pip read the first variable, older versions the second. Paths are relative, because pip splits them at spaces.
    echo "setuptools<81" >.venv/build-constraints.txt
    export PIP_BUILD_CONSTRAINT="${PIP_BUILD_CONSTRAINT:-} .venv/build-constraints.txt"
    export PIP_CONSTRAINT="${PIP_CONSTRAINT:-} .venv/build-constraints.txt"
    extras "$@" >.venv/extras.txt
    .venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt -r .venv/extras.txt && return
    say "the installation failed, pip's reason is above. Check the network, then run this again to continue."
    return 1
}

fetch_dashboard() {
    .venv/bin/python scripts/fetch_visdom_assets.py >&2 || say "visdom's page will stay blank until its files are there"
}

dashboard=false
words=()
for word in "$@"; do
    if [ "$word" = dashboard ]; then dashboard=true; else words+=("$word"); fi
done

stamp=.venv/.setup-done # first line: fingerprint, then one extra a line. Written only after pip has succeeded.
fingerprint() { echo "$(cat requirements.txt pyproject.toml | cksum) $(version_of .venv/bin/python | tr '\n' ' ')"; }
is_done() {
    local word
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of .venv/bin/python)" ] || return 1
    [ "$(head -n 1 "$stamp" 2>/dev/null)" = "$(fingerprint)" ] || return 1
    for word in "$@"; do
        grep -qxF -- "$word" "$stamp" || return 1
    done
}

if ! is_done ${words[@]+"${words[@]}"}; then
    make_venv
    install ${words[@]+"${words[@]}"}
    is_done || fingerprint >"$stamp"
    for word in ${words[@]+"${words[@]}"}; do echo "$word" >>"$stamp"; done
fi
! $dashboard || fetch_dashboard
