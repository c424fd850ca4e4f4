"""Fused Adam: the numbers of the default implementation up to rounding, and interchangeable states."""

import pytest
import torch

from models.builders import adam

SETTINGS = {"lr": 2e-4, "betas": (0.5, 0.999)}


def steps(made, count, state=None):
    """The parameter after so many steps, and the optimizer's state."""
    parameter = torch.nn.Parameter(torch.linspace(-1, 1, 100))
    optimizer = made([parameter], **SETTINGS)
    if state is not None:
        optimizer.load_state_dict(state)
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        parameter.grad = torch.randn(100, generator=generator) * torch.logspace(-12, 0, 100)
        optimizer.step()
    return parameter.detach(), optimizer.state_dict()


def test_fused_adam_gives_the_numbers_of_the_default_implementation():
    ours, usual = steps(adam, 50)[0], steps(torch.optim.Adam, 50)[0]
    torch.testing.assert_close(ours, usual, rtol=0, atol=1e-3 * SETTINGS["lr"])


@pytest.mark.parametrize(("before", "after"), [(adam, torch.optim.Adam), (torch.optim.Adam, adam)])
def test_states_of_fused_and_default_adam_are_interchangeable(before, after):
    _, state = steps(before, 3)
    ours, kept = steps(after, 2, state)
    usual, _ = steps(torch.optim.Adam, 2, steps(torch.optim.Adam, 3)[1])
    torch.testing.assert_close(ours, usual, rtol=0, atol=1e-3 * SETTINGS["lr"])
    assert kept["state"][0]["step"] == 5
