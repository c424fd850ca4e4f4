"""Parts of messages that name several things, and hints for misspelled words."""

import pytest

from util.errors import InputError, nearest, some_of


@pytest.mark.parametrize(
    ("count", "shown"), [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (9, "0, 1, 2 and 6 more")]
)
def test_some_names_and_the_number_of_the_others(count, shown):
    assert some_of([str(number) for number in range(count)]) == shown


def test_the_nearest_word_ignores_case_hyphens_and_underscores():
    assert nearest("UNET-256", ["resnet_9blocks", "unet_256"]) == " did you mean 'unet_256'?"
    assert nearest("x", ["unet_256"]) == ""


def test_a_message_is_one_line_without_terminal_codes():
    assert str(InputError("a\nb\x1b[31m.png")) == "a\\nb\\x1b[31m.png"
