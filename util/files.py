"""Atomic writing of files: a reader sees the old file or the whole new file."""

import contextlib
import errno
import glob
import os
import shutil
import tempfile

from util.errors import InputError

UNFINISHED = ".writing_"  # prefix of the names of files that are being written


@contextlib.contextmanager
def replacing(path, size=None):
    """Yields a temporary binary file, which replaces `path` at the end of the block and is removed after an error.

    The file is written beside `path`, fsynced and renamed, and the folder is fsynced: after a crash `path` is the old
    file or the whole new one. A failed write raises InputError (see cannot_write; `size` is the number of bytes to be
    written, None: unknown) and leaves the old file untouched.
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
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp lets only the owner read the file
        os.replace(temporary, path)
        temporary = None
        fsync_folder(folder)
    except OSError as error:
        raise InputError(cannot_write(path, error, size)) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def make_folder(flag: str, folder: str) -> None:
    """Make the folder that a flag names. InputError if it can't be made, or no file can be written in it."""
    if os.path.isfile(folder):
        raise InputError(f"{flag} {folder}: this is a file; give a folder")
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{flag} {cannot_write(folder, error, flag='folder')}") from error


def make_folder_of(flag: str, path: str) -> None:
    """Make the folder of the file that a flag names. InputError if the file can't be written."""
    if os.path.isdir(path) or not os.path.basename(path):
        raise InputError(f"{flag} {path}: this is a folder; give the name of a file")
    make_folder(flag, os.path.dirname(os.path.abspath(path)))


FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # the disk is full, the user's quota is used up


def cannot_write(path, error, size=None, flag=""):
    """The message of a failed write: the path, the reason, and the mend; `flag` is the flag to choose another folder.

    If space is lacking, the message has the bytes needed (`size`, None: unknown) and the bytes free.
    """
    needed = [f"{size:,} bytes are needed"] if size is not None and error.errno in (*FULL, errno.EFBIG) else []
    space = " and ".join([*needed, free_bytes(path)] if error.errno in FULL else needed)
    mend = f"choose another {flag}" if flag and error.errno != errno.ENAMETOOLONG else ""
    return "; ".join(filter(None, (f"{path}: can't be written ({error.strerror or error})", space, mend)))


def free_bytes(path):
    """The free bytes of a path's file system, as text; of the nearest folder above if the path does not exist."""
    path = os.path.abspath(path)
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        return f"{shutil.disk_usage(path).free:,} bytes are free"
    except OSError as error:
        return f"its file system doesn't answer ({error.strerror})"


def sweep(folder, mark=UNFINISHED):
    """Remove the unfinished files of a killed process: names that begin with `mark`. The caller owns the folder."""
    for path in glob.glob(os.path.join(glob.escape(folder), glob.escape(mark) + "*")):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)


def write_text(path, text):
    """Write text as UTF-8. Lone surrogates, from file names that are not UTF-8, become question marks."""
    whole = text.encode("utf-8", "replace")
    with replacing(path, len(whole)) as file:
        file.write(whole)


def fsync_file(path):
    with open(path, "r+b") as file:  # on Windows, fsync needs a file that is open for writing
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
