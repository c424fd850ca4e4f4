"""Where a number comes from: the implementation, its version, the feature network, and the number of samples."""

import functools
import re
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

from util.run.manifest import digest

ROOT = Path(__file__).resolve().parent.parent.parent


class Unavailable(Exception):
    """A metric can't be computed here; ``str(error)`` is one line: the reason and the mend. The others go on."""


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
    """The record of a metric: implementation and version, then `more` (settings, network, checksum, resize)."""
    return {"implementation": f"{package}: {what}", "version": version_of(package), **more}


def network_file(name: str, path: str) -> dict:
    """The record of a feature network whose weights lie in `path`.

    Names of published files end in the first 8 digits of their SHA-256; "published" is whether these agree.
    """
    checksum = digest(path)
    named = re.search(r"-([0-9a-f]{8})\.pth$", Path(path).name)
    record = {"network": name, "sha256": checksum}
    return record | {"published": checksum.startswith(named[1])} if named else record
