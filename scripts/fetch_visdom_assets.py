"""Install the browser files of visdom (scripts, styles, fonts) into the visdom package, from npm packages.

    python scripts/fetch_visdom_assets.py

The visdom package does not contain these files; `python -m visdom.server` downloads them from several web sites when it
starts, and without access to these sites its page is blank. This script needs npm and a package registry or mirror.
Each file is compared with its hash in visdom_assets.txt before any file is installed.
"""

import hashlib
import importlib.metadata
import importlib.util
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

VERSION = "0.2.4"
# The page loads MathJax, a large package for formulas in titles. Empty files replace it, so that no request fails.
EMPTY = ("js/mathjax/2.7.5/MathJax.js", "js/mathjax/2.7.5/config/TeX-AMS-MML_HTMLorMML.js")
OTHERWISE = (
    "On a machine with internet access, `python -m visdom.server` downloads the same files: start it once and stop it."
)


def assets():
    """The rows of visdom_assets.txt: (sha256, npm package, file in the package, file in visdom/static)."""
    lines = pathlib.Path(__file__).with_name("visdom_assets.txt").read_text().splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


def static_folder():
    found = importlib.util.find_spec("visdom")
    if found is None:
        sys.exit(f"visdom is not installed for {sys.executable}: run `bash scripts/setup.sh` first")
    version = importlib.metadata.version("visdom")
    if version != VERSION:
        sys.exit(f"the files are for visdom {VERSION}, but {version} is installed: pip install visdom=={VERSION}")
    return pathlib.Path(found.origin).parent / "static"


def is_good(path, sha256):
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def download(packages, folder):
    """Download package archives with `npm pack`, which runs no package scripts and installs no dependencies."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(f"npm was not found: install Node.js (Debian: apt-get install npm) and run this again. {OTHERWISE}")
    command = [npm, "pack", "--loglevel=error", "--ignore-scripts", *packages]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        sys.exit(f"npm did not finish within ten minutes: is its registry reachable? {OTHERWISE}")
    if done.returncode:
        reason = "\n  ".join(done.stderr.strip().splitlines()[:4])
        sys.exit(f"npm could not fetch the packages: is its registry reachable? {OTHERWISE}\n  {reason}")


def take(package, name, folder):
    """The bytes of one file in the archive of a package."""
    with tarfile.open(folder / f"{package.replace('@', '-')}.tgz") as archive:
        return archive.extractfile(f"package/{name}").read()


def install(static, missing):
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        download(sorted({package for _, package, _, _ in missing}), folder)
        contents = {target: take(package, name, folder) for _, package, name, target in missing}
    for sha256, package, name, target in missing:
        if hashlib.sha256(contents[target]).hexdigest() != sha256:
            sys.exit(f"{name} of {package} has another sha256 than expected: nothing was installed")
    for target, content in contents.items():
        path = static / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main():
    static, wanted = static_folder(), assets()
    missing = [asset for asset in wanted if not is_good(static / asset[3], asset[0])]
    try:
        if missing:
            install(static, missing)
        for name in EMPTY:
            (static / name).parent.mkdir(parents=True, exist_ok=True)
            if not (static / name).exists():
                (static / name).write_text("// MathJax is not installed.\n")
        (static / "version.built").write_text(VERSION)  # visdom then downloads no files itself
    except OSError as error:
        sys.exit(f"could not write into {static}: {error}")
    print(f"visdom's browser files: {len(missing)} fetched, {len(wanted) - len(missing)} existed already ({static})")


if __name__ == "__main__":
    main()
