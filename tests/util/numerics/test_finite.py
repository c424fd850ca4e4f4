"""Non-finite updates: found in any tensor, and skipped by the optimizer's kernel."""

import pytest
import torch

from util.numerics import finite


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_a_single_bad_number_in_any_tensor_is_found(value):
    tensors = [torch.ones(3, 4), torch.ones(5), torch.ones(())]
    assert finite.not_finite(tensors) == 0
    tensors[1][2] = value
    assert finite.not_finite(tensors) == 1


def test_a_step_skipped_on_the_device_changes_nothing_and_later_steps_work():
    """The code path for CUDA, on the CPU, whose fused Adam reads the same flag."""
    torch.manual_seed(0)
    nets = [torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)]
    nets[1].load_state_dict(nets[0].state_dict())
    plain, fused = (torch.optim.Adam(net.parameters(), lr=0.1) for net in nets)
    for step in range(4):
        x = torch.randn(5, 4)
        for net, optimizer in zip(nets, (plain, fused)):
            optimizer.zero_grad()
            net(x).square().mean().backward()
        if step < 1 or step > 2:
            plain.step()
            finite.step_unless(fused, torch.tensor(0.0))
            continue
        before = {key: value.clone() for key, value in nets[1].state_dict().items()}
        nets[1].weight.grad[0, 0] = float("nan")
        finite.step_unless(fused, finite.not_finite([nets[1].weight.grad]))
        assert all(torch.equal(before[key], value) for key, value in nets[1].state_dict().items())
    for key, value in nets[0].state_dict().items():
        assert torch.allclose(value, nets[1].state_dict()[key], atol=1e-6)
    assert fused.state_dict()["state"][0]["step"] == 2
    assert not hasattr(fused, "found_inf")
