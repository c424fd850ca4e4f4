"""--grad_checkpoint: fewer activations are kept, gradients are the same, running statistics are updated once."""

import copy

import pytest
import torch
from torch import nn

from models import networks
from models.architectures.adjustable import recomputed
from models.fit_out import recompute_blocks


def generator(net="resnet_4blocks", norm="instance", **more):
    return networks.define_G(3, 3, 4, net, norm, init_gain=1.0, **more)


NETWORKS = {
    "resnet": (lambda: generator(), 32),
    "blurred": (lambda: generator(no_antialias=False, no_antialias_up=False), 32),
    "batch norm and dropout": (lambda: generator(norm="batch", use_dropout=True), 32),
    "unet": (lambda: generator("unet_128"), 128),
    "unet with batch norm and dropout": (lambda: generator("unet_128", "batch", use_dropout=True), 256),
    "unet without norm": (lambda: generator("unet_128", "none"), 128),
    "stargan": (lambda: networks.StarGANGenerator(4, 5, 2), 32),
}


def pair(name):
    torch.manual_seed(0)
    made, size = NETWORKS[name]
    net = made().double()
    other = copy.deepcopy(net)
    assert recompute_blocks(other)
    return net, other, size


def run(net, x, *more, **named):
    if isinstance(net, networks.StarGANGenerator):
        more = (torch.ones(len(x), 5, dtype=x.dtype),)
    return net(x, *more, **named)


def results(net, x, passes=1):
    """Output, gradients and buffers of steps of several passes, as cycle_gan's are."""
    x = x.clone().requires_grad_()
    torch.manual_seed(1)
    y = x
    for _ in range(passes):
        y = run(net, y)
    y.sin().sum().backward()
    return [y, x.grad, *(p.grad for p in net.parameters()), *net.buffers(), torch.rand(1)]


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_running_statistics_and_random_numbers_are_the_same(name, passes):
    net, other, size = pair(name)
    x = torch.randn(2, 3, size, size, dtype=torch.double)
    for expected, found in zip(results(net, x, passes), results(other, x, passes), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert list(net.state_dict()) == list(other.state_dict())
    for module in other.modules():
        assert getattr(module, "momentum", 0.1) == 0.1


def kept(function):
    """The number of values in the tensors that autograd keeps for a call."""
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function()
    return sum(storages.values()), result


@pytest.mark.parametrize("name", NETWORKS)
def test_fewer_activations_are_kept(name):
    net, other, size = pair(name)
    x = torch.randn(1, 3, size, size, dtype=torch.double)
    (before, first), (after, second) = (kept(lambda net=net: run(net, x)) for net in (net, other))
    weights = sum(p.untyped_storage().nbytes() for p in net.parameters())
    assert after - weights < 0.9 * (before - weights)
    assert first.requires_grad and second.requires_grad


def test_a_resnet_keeps_little_more_than_its_blocks_inputs():
    """Maps of the full size, which are most of the memory, are not kept."""
    net, other, size = pair("resnet")
    x = torch.randn(1, 3, size, size, dtype=torch.double)
    (before, _), (after, _) = (kept(lambda net=net: run(net, x)) for net in (net, other))
    weights = sum(p.untyped_storage().nbytes() for p in net.parameters())
    assert after - weights < 0.35 * (before - weights)


@pytest.mark.parametrize("encode_only", [False, True])
@pytest.mark.parametrize("name", ["blurred", "resnet", "batch norm and dropout"])
def test_features_and_their_gradients_are_the_same(name, encode_only):
    """The feature of layer 8 is overwritten by an in-place ReLU in two of the networks."""
    net, other, size = pair(name)
    x = torch.randn(2, 3, size, size, dtype=torch.double)
    found = []
    for each in (net, other):
        torch.manual_seed(1)
        made = each(x, [0, 4, 8, 12, 14], encode_only=encode_only)
        features = made if encode_only else [made[0], *made[1]]
        sum((i + feature).square().mean() for i, feature in enumerate(features)).backward()
        gradients = [p.grad for p in each.parameters() if p.grad is not None]
        found.append([*features, *gradients, *each.buffers()])
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("encode_only", [False, True])
def test_a_pass_with_features_keeps_little_more_than_the_features_and_the_blocks_inputs(encode_only):
    net, other, size = pair("blurred")
    x = torch.randn(1, 3, size, size, dtype=torch.double)
    layers = [0, 4, 8, 12, 15]
    (before, first), (after, second) = (kept(lambda net=net: net(x, layers, encode_only)) for net in (net, other))
    weights = sum(p.untyped_storage().nbytes() for p in net.parameters())
    assert after - weights < 0.4 * (before - weights)
    assert len(first) == len(second)


def test_layers_run_once_without_a_graph_and_twice_with_one():
    _, net, size = pair("batch norm and dropout")
    seen = []
    net.model[10].conv_block[1].register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        net(torch.randn(1, 3, size, size, dtype=torch.double))
    assert seen == [1]
    net(torch.randn(1, 3, size, size, dtype=torch.double)).sum().backward()
    assert seen == [1] * 3  # once, and once more in backward


def test_frozen_networks_pass_gradients_on():
    net, other, size = pair("resnet")
    gradients = []
    for each in (net, other):
        each.requires_grad_(False)
        x = torch.ones(1, 3, size, size, dtype=torch.double, requires_grad=True)
        (each(x) * x).sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


def test_a_copy_uses_its_own_weights():
    _, net, size = pair("resnet")
    other = copy.deepcopy(net)
    for parameter in other.parameters():
        parameter.data.zero_()
    assert other(torch.ones(1, 3, size, size, dtype=torch.double)).abs().max() == 0
    assert net(torch.ones(1, 3, size, size, dtype=torch.double)).abs().max() > 0


def test_layers_that_work_in_place_are_not_run_twice():
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    y = recomputed([nn.LeakyReLU(0.5, inplace=True), nn.Sigmoid()], x * 1)
    y.sum().backward()
    plain = torch.tensor([-1.0, 2.0], requires_grad=True)
    torch.sigmoid(nn.functional.leaky_relu(plain, 0.5)).sum().backward()
    torch.testing.assert_close(x.grad, plain.grad)


def test_networks_without_blocks_are_reported():
    assert recompute_blocks(networks.define_D(3, 4, "basic")) is False
