"""util/files.py: the messages of failed writes."""

import errno
import os

import pytest

from util.errors import InputError
from util.files import cannot_write, make_folder, make_folder_of, write_text


def failed(number):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_with_the_bytes_needed_and_free(tmp_path, number):
    text = cannot_write(str(tmp_path / "a"), failed(number), 1234, "--results_dir")
    start, needed, mend = text.split("; ")
    assert start == f"{tmp_path}/a: can't be written ({os.strerror(number)})"
    assert needed.startswith("1,234 bytes are needed and ") and needed.endswith(" bytes are free")
    assert mend == "choose another --results_dir"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_other_reasons_are_reported_without_the_space_on_the_disk(number):
    assert cannot_write("x/a", failed(number), 1234) == f"x/a: can't be written ({os.strerror(number)})"
    assert cannot_write("x/a", failed(number), flag="--name").endswith("; choose another --name")


def test_a_name_that_is_too_long_is_the_reason(tmp_path):
    with pytest.raises(InputError, match=r"aaa: can't be written \(File name too long\)$"):
        write_text(tmp_path / ("a" * 300), "text")


def test_a_file_where_a_folder_is_expected_and_the_reverse(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^--output .*/file: this is a file; give a folder$"):
        make_folder("--output", str(tmp_path / "file"))
    for folder in (str(tmp_path), f"{tmp_path}/new/"):
        with pytest.raises(InputError, match=r"^--output .*: this is a folder; give the name of a file$"):
            make_folder_of("--output", folder)
    make_folder_of("--output", str(tmp_path / "new" / "file"))
    assert os.listdir(tmp_path / "new") == []
