"""--deterministic: the switches of torch while the block runs."""

import pytest
import torch

from util.numerics.seeding import repeatable

CPU = torch.device("cpu")


def switches():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


def test_operations_are_repeatable_and_memory_is_not_filled_while_the_block_runs(capsys):
    before = switches()
    with pytest.raises(KeyError), repeatable(True, CPU):
        assert switches() == (True, False, True, False)
        raise KeyError
    assert switches() == before
    assert capsys.readouterr().out.startswith("--deterministic: ")


def test_without_the_flag_nothing_changes(capsys):
    before = switches()
    with repeatable(False, CPU):
        assert switches() == before
    assert capsys.readouterr().out == ""


def test_operations_without_a_repeatable_form_are_named(capsys):
    with repeatable(True, torch.device("cuda")):
        pass
    assert "adaptive pooling" in capsys.readouterr().out
