"""--deterministic: torch's settings inside the context."""

import pytest
import torch
from test_programs import PIX2PIX, paired, train, weights  # noqa: F401

from util.numerics import seeding
from util.numerics.seeding import repeatable

CPU = torch.device("cpu")


def switches():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


def test_deterministic_settings_hold_inside_the_context_and_are_restored(capsys):
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


def test_operations_without_a_deterministic_version_are_named(capsys):
    with repeatable(True, torch.device("cuda")):
        pass
    assert "adaptive pooling" in capsys.readouterr().out


SHORT = ("--seed", "5", "--n_epochs_decay", "0", "--save_latest_freq", "1")


def test_deterministic_algorithms_are_switched_off_after_the_context(capsys):
    with seeding.repeatable(True, torch.device("cuda", 0)):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert "reflection" in capsys.readouterr().out


def test_deterministic_trains_to_the_same_weights_on_the_cpu(paired, tmp_path, capsys):  # noqa: F811
    words = (*PIX2PIX, *SHORT)
    plain = weights(train(paired, tmp_path, *words, name="plain"), "G")
    exact = weights(train(paired, tmp_path, *words, "--deterministic", name="exact"), "G")
    assert all(torch.equal(plain[key], exact[key]) for key in plain)
    assert "--deterministic: every operation on the CPU" in capsys.readouterr().out
