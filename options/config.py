"""--config: flags from a file; the command line overrides them.

A mapping of flags in YAML or JSON (``ngf: 32``) is inserted before the words of the command line: a key that is no flag
is refused. A run's train_opt.json holds all values of the run, so it is read as by --continue_train: the values of its
networks, data and training become defaults, those of its name, folders and device do not.
"""

import json
from typing import Any, NamedTuple

from util.errors import InputError
from util.flags import as_typed
from util.run import folder as run_folder


class Config(NamedTuple):
    """The content of a --config file: words to insert before the command line, or the options of a run."""

    words: list[str]
    options: dict[str, Any]
    keys: list[str]


def read(path: str | None) -> Config:
    """The content of a file for --config; an empty Config for None."""
    if path is None:
        return Config([], {}, [])
    content = _parse(path)
    if not isinstance(content, dict):
        raise InputError(f"--config {path}: expected flags with values, such as the line ngf: 32")
    if "options" in content and "format" in content:
        return Config([], run_folder.options_in(path, content), [])
    flags = {str(key).removeprefix("--"): value for key, value in content.items()}
    if "config" in flags:
        raise InputError(f"--config {path}: it contains the flag config; put all flags into one file")
    return Config([word for key, value in flags.items() for word in _words(path, key, value)], {}, list(flags))


def _parse(path):
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path}: can't be read ({getattr(error, 'strerror', None) or error})") from None
    if path.endswith(".json"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"--config {path}: not JSON ({error})") from None
    try:
        import yaml
    except ImportError:
        raise InputError(
            f"--config {path}: YAML needs the package PyYAML (pip install pyyaml); or write JSON into a .json file"
        ) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"--config {path}: not YAML ({' '.join(str(error).split())})") from None


def _words(path, key, value):
    """The words of a flag on the command line; none for an empty value, which keeps the default."""
    if isinstance(value, dict):
        raise InputError(f"--config {path}: {key}: give a value or a list of values, not a mapping")
    if value is None or value == []:
        return []
    if isinstance(value, list):
        return [f"--{key}", *map(str, value)]
    return [f"--{key}={as_typed(value)}"]


def naming_file(error: InputError, path: str | None, config: Config, command_line: list[str]) -> InputError:
    """The error; if it is about a flag that only the file has, the path of the file precedes the message."""
    flag = str(error).split(":")[0].split(" ")[0].removeprefix("--")
    typed = {word.split("=")[0].removeprefix("--") for word in command_line if word.startswith("--")}
    return InputError(f"--config {path}: {error}") if flag in config.keys and flag not in typed else error
