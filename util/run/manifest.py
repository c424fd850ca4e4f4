"""``<tag>_manifest.json``: size and checksum of every file of a checkpoint, written last. It proves them whole."""

import glob
import hashlib
import json
import os
import zipfile

from util.files import write_text

FORMAT = 1


def write_manifest(folder, tag, sums, total_iters):
    """`sums`: file name -> what proof() says of it."""
    manifest = {"format": FORMAT, "tag": tag, "total_iters": total_iters, "files": sums}
    write_text(os.path.join(folder, f"{tag}_manifest.json"), json.dumps(manifest, indent=1))


def proof(path):
    return {"bytes": os.path.getsize(path), "sha256": digest(path)}


def read_manifest(folder, tag):
    """The manifest as a dict, or None if it is missing or damaged; "files" is a dict then, of anything."""
    try:
        with open(os.path.join(folder, f"{tag}_manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        good = isinstance(manifest["files"], dict) and isinstance(manifest["total_iters"], int)
        return manifest if good else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def listed(path, tag):
    """What the manifest of `tag` says of a file beside it; None if it doesn't list it."""
    manifest = read_manifest(os.path.dirname(path), tag)
    return manifest["files"].get(os.path.basename(path)) if manifest else None


def as_listed(path, tag):
    """Whether a file is, byte for byte, the one its manifest lists."""
    try:
        return listed(path, tag) == proof(path)
    except OSError:
        return False


def broken_inside(path):
    """What the checksums inside a file say is wrong with it (torch writes zip files), or None.

    They decide where the manifest can't: there is none, or a crash has left a new file beside an old manifest.
    """
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except Exception as error:  # zipfile meets damage in many ways
        return f"damaged ({str(error) or type(error).__name__})"
    return f"damaged (checksum of {broken!r})" if broken else None


def whole_exports(folder):
    """The tags in a folder whose exports are all there and as their manifests say, newest first."""
    found = []
    for path in glob.glob(os.path.join(glob.escape(folder), "*_manifest.json")):
        tag = os.path.basename(path).removesuffix("_manifest.json")
        manifest = read_manifest(folder, tag) or {"files": {}}
        exports = [os.path.join(folder, os.path.basename(name)) for name in manifest["files"] if "_net_" in name]
        if exports and all(as_listed(export, tag) for export in exports):
            found.append((manifest["total_iters"], tag))
    return [tag for _, tag in sorted(found, reverse=True)]


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
