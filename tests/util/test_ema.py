"""Weight averages follow the formula, ignore skipped steps, and are restored from a checkpoint."""

import pytest
import torch
from torch import nn

from util.ema import WeightAverages


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def move(net, amount):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(amount)


def test_the_average_follows_the_formula_with_its_warm_up():
    net = network()
    ema = WeightAverages({"G": net}, decay=0.5)
    expected = net[0].weight.detach().clone()
    for n in range(1, 20):
        move(net, 0.1 * n)
        ema.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * net[0].weight.detach()
        assert torch.allclose(ema.averages["G"]["0.weight"], expected, atol=1e-6)
    assert (1 + 19) / (10 + 19) > 0.5 > (1 + 1) / (10 + 1)  # both branches of the minimum were met


def test_without_warm_up_the_average_is_that_of_pytorch():
    net = network()
    ema = WeightAverages({"G": net}, decay=0.3)
    ema.updates = 1000
    theirs = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.3))
    theirs.update_parameters(net)  # its first update is a copy
    for _ in range(5):
        move(net, 0.2)
        ema.update()
        theirs.update_parameters(net)
    assert torch.allclose(ema.averages["G"]["0.weight"], theirs.module[0].weight, atol=1e-6)


def test_a_skipped_step_changes_nothing():
    net = network()
    ema = WeightAverages({"G": net}, decay=0.9)
    move(net, 1)
    before = {key: value.clone() for key, value in ema.averages["G"].items()}
    ema.update(torch.tensor(1.0))
    assert all(torch.equal(ema.averages["G"][key], value) for key, value in before.items())
    assert int(ema.updates) == 0
    ema.update(torch.tensor(0.0))
    other = WeightAverages({"G": network()}, decay=0.9)
    other.nets = {"G": net}
    other.update()
    assert torch.allclose(ema.averages["G"]["0.weight"], other.averages["G"]["0.weight"])


def test_running_statistics_are_those_of_the_network():
    net = network()
    ema = WeightAverages({"G": net}, decay=0.9)
    net(torch.randn(8, 3))
    ema.update()
    assert torch.equal(ema.averages["G"]["1.running_mean"], net[1].running_mean)
    assert ema.averages["G"]["1.num_batches_tracked"] == 1


def test_networks_have_the_averages_inside_the_context_only():
    net = network()
    ema = WeightAverages({"G": net}, decay=0.9)
    move(net, 1)
    ema.update()
    own, average = net[0].weight.detach().clone(), ema.averages["G"]["0.weight"].clone()
    parameter = net[0].weight
    with pytest.raises(KeyError), ema.applied():
        assert torch.equal(net[0].weight, average) and net[0].weight is parameter
        raise KeyError("an error inside the block")
    assert torch.equal(net[0].weight, own) and torch.equal(ema.averages["G"]["0.weight"], average)


def test_a_checkpoint_continues_it_bit_for_bit(tmp_path):
    net = network()
    ema = WeightAverages({"G": net}, decay=0.9)
    for _ in range(3):
        move(net, 0.1)
        ema.update()
    torch.save(ema.state_dict(), tmp_path / "state.pth")
    again = WeightAverages({"G": net}, decay=0.9)
    again.load_state_dict(torch.load(tmp_path / "state.pth", weights_only=True))
    for each in (ema, again):
        move(net, 0.1)
        move(net, -0.1)
        each.update()
    assert all(torch.equal(again.averages["G"][key], value) for key, value in ema.averages["G"].items())
    with pytest.raises(KeyError):
        again.load_state_dict({"updates": 1, "averages": {"F": {}}})


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match="0 <= decay < 1"):
        WeightAverages({}, decay)
