"""The provenance of a score: the implementation, its version, the feature network, and the number of samples.

The weights of published feature networks are searched on disk; nothing is downloaded.
"""

import functools
import os
import re
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch

from util.errors import InputError
from util.run.folder import digest

ROOT = Path(__file__).resolve().parent.parent.parent


class Unavailable(Exception):
    """A metric can't be computed, but others can. ``str(error)`` is one line: the reason and the correction."""


def require(package: str, module: str | None = None) -> ModuleType:
    """Import `module` of an optional package; raises Unavailable if the package is not installed."""
    try:
        return import_module(module or package.replace("-", "_"))
    except ImportError as error:
        raise Unavailable(f"the package {package} can't be imported ({error}): pip install {package}") from error


@functools.cache
def version_of(package: str) -> str:
    """Version of an installed package; for "metamer" the version in pyproject.toml."""
    if package == "metamer":
        found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
        return found[1] if found else "unknown"
    return metadata.version(package)


def made_by(package: str, what: str, **more) -> dict:
    """The provenance of a metric: implementation and version, then `more` (settings, network, checksum, resize)."""
    return {"implementation": f"{package}: {what}", "version": version_of(package), **more}


def network_file(name: str, path: str) -> dict:
    """The provenance of a feature network whose weights are in the file `path`.

    Names of published files end in the first 8 digits of their SHA-256; "published" is whether the file has them.
    """
    checksum = digest(path)
    named = re.search(r"-([0-9a-f]{8})\.pth$", Path(path).name)
    record = {"network": name, "sha256": checksum}
    return record | {"published": checksum.startswith(named[1])} if named else record


class Published(NamedTuple):
    """A file of published weights."""

    file: str
    url: str


FILES = {
    "inception": Published(
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    "alex": Published(
        "alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
    ),
    "vgg16": Published("vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth"),
    "vgg19": Published("vgg19-dcbb9e9d.pth", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"),
    "squeeze": Published(
        "squeezenet1_1-b8a52dc0.pth", "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
    ),
}  # fmt: skip


def cache_folder() -> str:
    """Where PyTorch keeps downloaded weights; TORCH_HOME moves it."""
    return os.path.join(torch.hub.get_dir(), "checkpoints")


def find(network: str, given: str | None = None, flag: str = "--metric_weights", any_name: bool = False) -> str:
    """Path of the weights of `network`: in `given` (a folder, or the file itself), else in PyTorch's cache.

    `flag` is the flag that gave the path. With `any_name`, a given file may have any name.
    Raises Unavailable with the name of the file, its address and the folder to put it into.
    """
    published = FILES[network]
    if given is not None and not os.path.exists(given):
        raise InputError(f"{flag} {given}: there is no such file or folder")
    places = [cache_folder()] if given is None else [given, cache_folder()]
    for place in places:
        if os.path.isfile(place) and (any_name or os.path.basename(place) == published.file):
            return place
        path = os.path.join(place, published.file)
        if os.path.isfile(path):
            return path
    raise Unavailable(
        f"the weights {published.file} are missing: download {published.url} to {cache_folder()}, "
        f"or to another folder and name it with {flag}"
    )
