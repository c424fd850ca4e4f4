"""Download and unpack a published dataset or released weights. The folder appears only when it is complete.

python datasets/download.py --list
python datasets/download.py horse2zebra                     to datasets/horse2zebra
python datasets/download.py facades --of pix2pix            if there are several datasets of this name
python datasets/download.py horse2zebra --weights           to checkpoints/horse2zebra_pretrained
python datasets/download.py horse2zebra --archive FILE      unpacks a file that was downloaded by hand
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from catalog import FAMILIES, GATED, SETS, WEIGHTS
from fetch import fetch
from unpack import unpack

from options.parser import OptionParser
from util.errors import InputError, clear_errors, nearest
from util.files import replacing, write_text
from util.flags import Float
from util.run import folder as run_folder

ROOT = Path(__file__).resolve().parent.parent
KEPT = ".downloads"  # folder beside the target for unfinished downloads and the checksums of earlier ones


def find(name, of=None, weights=False):
    """The entry of the catalog; InputError, with the nearest name or the choices, if there is not exactly one."""
    table, what = (WEIGHTS, "weights") if weights else (SETS, "data set")
    if name in GATED and not weights:
        raise InputError(f"{name}: {GATED[name]}")
    found = [entry for entry in table if entry.name == name and (of is None or of in entry.of)]
    if not found:
        names = sorted({entry.name for entry in table if of is None or of in entry.of})
        whose = f" of {of}" if of else ""
        raise InputError(f"{name}: no such {what}{whose};{nearest(name, names)} --list shows all")
    if len(found) > 1:
        choice = " or ".join(f"--of {entry.of[0]} ({entry.about})" for entry in found)
        raise InputError(f"{name}: published more than once; give {choice}")
    return found[0]


def default_folder(entry):
    return ROOT / "checkpoints" / f"{entry.name}_pretrained" if entry.is_weights else ROOT / "datasets" / entry.name


def download(entry, folder, archive=None, mirror=None, timeout=30, accept_new=False, dry_run=False, pause=1.0):
    """Download `entry` to a new folder. `archive`: a local file instead; `mirror`: an address to try first."""
    folder = Path(folder)
    addresses = (*([f"{mirror.rstrip('/')}/{entry.archive}"] if mirror else []), *entry.addresses)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        return _already(entry, folder)
    if dry_run:
        print(f"would download {archive or ' or '.join(addresses)}\nto {folder}")
        return
    kept = folder.parent / KEPT
    path = Path(archive) if archive else kept / f"{entry.of[0]}_{entry.archive}"
    if archive and not path.is_file():
        raise InputError(f"--archive {archive}: there is no such file")
    if not archive and not path.is_file():
        _fetch(entry, addresses, path, timeout, pause)
    try:
        _check_sum(entry, path, kept, accept_new)
        _put_in_place(entry, path, folder)
    except InputError:
        if not archive:  # otherwise the next call would use the damaged file again
            path.unlink(missing_ok=True)
        raise
    if not archive:
        path.unlink()
    _report(entry, folder)


def _already(entry, folder):
    missing = [name for name in entry.holds if not (folder / name).exists()] if folder.is_dir() else [folder.name]
    if missing:
        raise InputError(f"--to {folder}: exists and has no {missing[0]}; move it away, or name another folder")
    print(f"{folder}: exists already, nothing to do")


def _fetch(entry, addresses, path, timeout, pause):
    try:
        address = fetch(addresses, path, timeout, pause)
    except InputError as error:
        raise InputError(
            f"{entry.name} could not be downloaded ({error}). Run the same command again to resume the download, or "
            f"get {entry.archive} elsewhere and give it with --archive FILE"
        ) from None
    if address.startswith("http:"):
        print(f"note: {address} was downloaded over http, which does not protect against changes on the way")


def _check_sum(entry, path, kept, accept_new):
    """Compare with the SHA-256 of the catalog or of the last download; store a new one."""
    found, memory = run_folder.digest(path), kept / "checksums.json"
    key = f"{entry.of[0]}/{entry.archive}"
    known = {}
    with contextlib.suppress(OSError, ValueError):
        known = dict(json.loads(memory.read_text(encoding="utf-8")))
    expected = entry.sha256 or known.get(key)
    print(
        f"{path.name}: {path.stat().st_size:,} bytes, SHA-256 {found}" + (" as expected" if found == expected else "")
    )
    if expected not in (None, found) and not accept_new:
        raise InputError(
            f"{entry.archive}: its SHA-256 is {found}, but {expected} was expected. It was published again, or changed "
            "on the way; --accept_new accepts it"
        )
    if not entry.sha256:
        write_text(memory, json.dumps({**known, key: found}, indent=1) + "\n")


def _put_in_place(entry, path, folder):
    """Unpack beside the target and rename, so that an incomplete dataset never has the final name."""
    beside = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        if entry.is_weights:
            _place_weights(entry, path, beside)
        else:
            unpack(path, beside, keep=entry.holds)
        with contextlib.suppress(OSError):
            folder.rmdir()  # an empty folder may exist
        os.replace(beside, folder)
    except OSError as error:
        raise InputError(f"{folder}: can't be made ({error.strerror or error})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _place_weights(entry, path, folder):
    """Write the weights under the name that test.py loads, with the options for building the network."""
    with open(path, "rb") as file:
        if file.read(2) not in (b"PK", b"\x80\x02"):  # torch.save's zip, and its format before 1.6
            raise InputError(f"{path}: not a file of weights; it may be a web page saved under that name")
    with replacing(folder / "latest_net_G.pth") as target, open(path, "rb") as source:
        shutil.copyfileobj(source, target)
    stored = {"format": run_folder.FORMAT, "options": entry.options}
    write_text(folder / "train_opt.json", json.dumps(stored, indent=1) + "\n")


def _report(entry, folder):
    missing = [name for name in entry.holds if not (folder / name).exists()]
    counts = {each.name: sum(1 for path in each.rglob("*") if path.is_file()) for each in sorted(folder.iterdir())}
    files = ", ".join(f"{name} {count:,} files" for name, count in counts.items() if count) or "done"
    print(f"{folder}: {files}")
    if missing:
        print(f"note: {', '.join(missing)} was expected in it but is missing")
    if entry.is_weights:
        runs = os.path.relpath(folder.parent)
        print(f"try: python test.py --dataroot DIR --name {folder.name} --checkpoints_dir {runs}")


def listing():
    lines = []
    for title, table in (("data sets", SETS), ("weights (--weights)", WEIGHTS)):
        lines.append(f"{title}:")
        for entry in table:
            holds = "" if entry.is_weights else f"  [{' '.join(entry.holds)}]"
            lines.append(f"  {entry.name:<24}{' '.join(entry.of):<14} {entry.about}{holds}")
    lines.append("not available here:")
    lines += [f"  {name:<24}{reason}" for name, reason in GATED.items()]
    return "\n".join(lines)


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("name", nargs="?", help="name of the dataset or weights; --list shows all")
    add("--list", action="store_true", help="list all datasets and weights, and stop")
    add("--of", choices=FAMILIES, help="publication, if several have a dataset of this name")
    add("--weights", action="store_true", help="download the trained weights of this name instead of the dataset")
    add("--to", metavar="DIR", help="folder to create (none given: datasets/NAME, checkpoints/NAME_pretrained)")
    add("--archive", metavar="FILE", help="unpack this file, which was downloaded by hand")
    add("--mirror", metavar="URL", help="an address to try first: URL/NAME.zip")
    add("--timeout", type=Float(above=0), default=30.0, help="seconds without a response until an attempt ends")
    add("--accept_new", action="store_true", help="accept a file whose checksum differs from the last download")
    add("--dry_run", action="store_true", help="print what would be done, and stop")
    options = parser.parse_or_help()
    if not options.name and not options.list:
        raise InputError("NAME: missing; give the name of a dataset; --list shows all")
    return options


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    if options.list:
        print(listing())
        return
    entry = find(options.name, options.of, options.weights)
    how = {key: getattr(options, key) for key in ("archive", "mirror", "timeout", "accept_new", "dry_run")}
    download(entry, options.to or default_folder(entry), **how)


if __name__ == "__main__":
    with clear_errors():
        main()
