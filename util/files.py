"""Writing files so that a reader never sees half of one."""

import contextlib
import os
import tempfile

from util.errors import InputError


@contextlib.contextmanager
def replacing(path):
    """A binary file to write to that becomes `path` when the block ends well, and vanishes when it does not.

    Written beside, fsynced, renamed, the folder fsynced: after a crash `path` is the old file or the new one, whole.
    A failed write raises InputError naming the path; the file that was there is untouched.
    """
    folder = os.path.dirname(os.path.abspath(path))
    temporary = None
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".writing_")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's own mode is for its owner only
        os.replace(temporary, path)
        temporary = None
        _fsync_folder(folder)
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror or error}); is the disk full?") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_text(path, text):
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def _umask():
    current = os.umask(0)
    os.umask(current)
    return current


def _fsync_folder(folder):
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
