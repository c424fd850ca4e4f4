"""Writing files so that a reader never sees half of one."""

import contextlib
import glob
import os
import shutil
import tempfile

from util.errors import InputError

UNFINISHED = ".writing_"  # how the names of files begin that nobody has finished yet


@contextlib.contextmanager
def replacing(path, size=None):
    """A binary file to write to that becomes `path` when the block ends well, and vanishes when it does not.

    Written beside, fsynced, renamed, the folder fsynced: after a crash `path` is the old file or the new one, whole.
    A failed write raises InputError with the path, the bytes needed (`size`, if the caller knows it) and those free;
    the file that was there is untouched.
    """
    folder = os.path.dirname(os.path.abspath(path))
    temporary = None
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=UNFINISHED)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's own mode is for its owner only
        os.replace(temporary, path)
        temporary = None
        fsync_folder(folder)
    except OSError as error:
        raise InputError(cannot_write(path, error, size)) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def cannot_write(path, error, size=None):
    """One line: the path, why, how many bytes were to go there, how many are free."""
    needed = f"{size:,} bytes are needed and " if size is not None else ""
    return f"{path}: can't be written ({error.strerror or error}); {needed}{free_bytes(path)}"


def free_bytes(path):
    """How much room the file system of a path (or of the nearest folder above it that exists) has, in words."""
    path = os.path.abspath(path)
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        return f"{shutil.disk_usage(path).free:,} bytes are free"
    except OSError as error:
        return f"its file system doesn't answer ({error.strerror})"


def sweep(folder, mark=UNFINISHED):
    """Remove what a killed process left unfinished in a folder, under names with this beginning; for its owner."""
    for path in glob.glob(os.path.join(glob.escape(folder), glob.escape(mark) + "*")):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)


def write_text(path, text):
    """UTF-8; what no encoding knows (a lone surrogate in the name of a file) becomes a question mark."""
    whole = text.encode("utf-8", "replace")
    with replacing(path, len(whole)) as file:
        file.write(whole)


def fsync_file(path):
    with open(path, "r+b") as file:  # Windows asks for the right to write
        os.fsync(file.fileno())


def fsync_folder(folder):
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask():
    current = os.umask(0)
    os.umask(current)
    return current
