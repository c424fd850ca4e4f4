"""--channels_last and --deterministic: the same values and gradients; the layout is kept by every layer."""

import copy
import functools

import pytest
import torch
from torch import nn

from models import networks
from models.architectures import adjustable
from models.architectures.adjustable import make_adjustable
from models.architectures.layers import make_norm
from models.fit_out import pad_deterministically, use_channels_last

LAYOUT = torch.channels_last
BLURRED = {"no_antialias": False, "no_antialias_up": False}


def generator(net="resnet_4blocks", norm="instance", **more):
    return networks.define_G(3, 3, 4, net, norm, init_gain=1.0, **more)


class Conditioned(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = networks.StarGANGenerator(4, 5, 2)

    def forward(self, x):
        return self.net(x, torch.ones(len(x), 5, dtype=x.dtype))


NETWORKS = {
    "resnet": (generator, 32),
    "blurred": (functools.partial(generator, **BLURRED), 32),
    "batch": (functools.partial(generator, norm="batch"), 32),
    "unet": (functools.partial(generator, "unet_128"), 128),
    "discriminator": (lambda: networks.define_D(3, 4, "basic", norm="instance", init_gain=1.0), 64),
    "blurred discriminator": (lambda: networks.define_D(3, 4, "basic", norm="instance", no_antialias=False), 64),
    "pixel": (lambda: networks.define_D(3, 4, "pixel", norm="instance", init_gain=1.0), 16),
    "stargan": (Conditioned, 32),
    "stargan discriminator": (lambda: networks.StarGANDiscriminator(32, 4, 5, 3), 32),
}


def noise(*shape):
    return torch.randn(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(0))


def pair(name):
    made, size = NETWORKS[name]
    torch.manual_seed(0)
    net = made().double()
    return net, use_channels_last(copy.deepcopy(net)), size


def results(net, x):
    """Output, gradients of input and weights, and buffers."""
    x = x.clone().requires_grad_()
    made = net(x)
    made = made if isinstance(made, tuple) else (made,)
    sum(each.sin().sum() for each in made).backward()
    return [*made, x.grad, *(p.grad for p in net.parameters()), *net.buffers()]


@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_values_gradients_and_statistics_are_the_same(name, images):
    net, other, size = pair(name)
    x = noise(images, 3, size, size)
    for expected, found in zip(results(net, x), results(other, x), strict=True):
        scale = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11 * max(scale, 1))
    assert list(net.state_dict()) == list(other.state_dict())
    assert [type(m) for m in net.modules()] == [type(m) for m in other.modules()]


@pytest.mark.parametrize("name", NETWORKS)
def test_no_layer_leaves_the_layout(name):
    _, net, size = pair(name)
    left = []

    def look(module, inputs, output):
        if isinstance(output, torch.Tensor) and output.dim() == 4 and not output.is_contiguous(memory_format=LAYOUT):
            left.append(type(module).__name__)

    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(look)
    net(noise(2, 3, size, size).to(memory_format=LAYOUT))
    assert left == []


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("laid_out", [False, True])
def test_first_and_second_derivatives_of_the_norm_are_correct(images, affine, laid_out):
    norm = make_norm(functools.partial(nn.InstanceNorm2d, affine=affine), 2).double()
    use_channels_last(norm)
    x = noise(images, 2, 3, 3).to(memory_format=LAYOUT).requires_grad_()

    def f(x):
        y = norm(x)
        assert y.is_contiguous(memory_format=LAYOUT)
        return y.permute(0, 2, 3, 1).contiguous() if laid_out else y.contiguous()

    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)


@pytest.mark.parametrize("padding", [nn.ReflectionPad2d(2), nn.ReflectionPad2d((1, 2, 0, 1)), nn.ReplicationPad2d(1)])
def test_paddings_are_the_same_and_so_are_their_gradients(padding):
    x = noise(2, 3, 4, 5)
    expected = padding(x)
    use_channels_last(padding)
    laid_out = x.to(memory_format=LAYOUT).requires_grad_()
    assert torch.equal(padding(laid_out), expected) and torch.equal(padding(x), expected)
    assert padding(laid_out).is_contiguous(memory_format=LAYOUT)
    assert torch.autograd.gradcheck(padding, laid_out) and torch.autograd.gradgradcheck(padding, laid_out)


def test_running_statistics_are_updated_and_used_as_in_torch():
    norm = nn.InstanceNorm2d(3, affine=True, track_running_stats=True).double()
    other = use_channels_last(copy.deepcopy(norm))
    x = noise(2, 3, 4, 4) + 2
    for _ in range(2):
        torch.testing.assert_close(other(x.to(memory_format=LAYOUT)), norm(x))
    with networks.counted(nn.Sequential(other), 0), networks.counted(nn.Sequential(norm), 0):
        other(x.to(memory_format=LAYOUT)), norm(x)
    torch.testing.assert_close(other.state_dict(), norm.state_dict())
    torch.testing.assert_close(other.eval()(x.to(memory_format=LAYOUT)), norm.eval()(x))


def test_a_copy_uses_its_own_weights():
    net = use_channels_last(nn.Sequential(nn.InstanceNorm2d(2, affine=True)))
    other = copy.deepcopy(net)
    other[0].weight.data.zero_()
    x = torch.randn(1, 2, 4, 4).to(memory_format=LAYOUT)
    assert net(x).abs().max() > 0 and other(x).abs().max() == 0


# --- the layers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [nn.InstanceNorm2d(2, affine=True), nn.ReflectionPad2d(1), nn.ReplicationPad2d(1)])
def test_make_adjustable_keeps_weights_and_hooks(plain):
    x, calls = noise(1, 2, 4, 4).float(), []
    plain.register_forward_hook(lambda *_: calls.append(1))
    expected, parameters = plain(x), list(plain.parameters())
    layer = make_adjustable(plain)
    assert layer is plain and type(layer) is getattr(adjustable, type(layer).__name__)
    assert all(before is after for before, after in zip(parameters, layer.parameters(), strict=True))
    assert torch.equal(layer(x), expected) and calls == [1, 1]


def test_subclasses_with_their_own_forward_are_not_changed():
    class Shifted(nn.ReflectionPad2d):
        def forward(self, x):
            return super().forward(x) + 1

    net = nn.Sequential(Shifted(1), nn.Conv2d(2, 2, 3))
    x = noise(1, 2, 4, 4)
    pad_deterministically(use_channels_last(net))
    assert type(net[0]) is Shifted
    assert torch.equal(net[0](x), nn.ReflectionPad2d(1)(x) + 1)


def test_padding_by_slices_is_reflection_padding():
    pad = nn.ReflectionPad2d((1, 2, 3, 0))
    x = noise(2, 3, 6, 5)
    y = x.clone()
    x.requires_grad_(), y.requires_grad_()
    expected = pad(x)
    pad_deterministically(pad)
    assert torch.equal(pad(y), expected)
    assert "Reflection" not in str(pad(y).grad_fn)
    upstream = torch.rand_like(expected)
    (expected * upstream).sum().backward()
    (pad(y) * upstream).sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-12)


@pytest.mark.parametrize("images", [1, 2])
def test_the_output_of_the_norm_is_no_view(images):
    """Values and gradients are bit for bit those of torch's layer, without autograd's copies for views."""
    torch.manual_seed(0)
    x, weight = torch.randn(images, 3, 8, 8), torch.randn(images, 3, 8, 8)
    found = []
    for norm in (make_norm(nn.InstanceNorm2d, 3), nn.InstanceNorm2d(3)):
        leaf = x.clone().requires_grad_()
        y = norm(leaf)
        result = torch.relu_(y)
        names = [type(result.grad_fn).__name__]
        (result * weight).sum().backward()
        found.append((result.detach(), leaf.grad, names))
    (own, own_gradient, own_names), (theirs, their_gradient, _) = found
    assert torch.equal(own, theirs) and torch.equal(own_gradient, their_gradient)
    assert own_names == ["ReluBackward0"]


def test_a_group_norm_with_a_group_per_channel_is_an_instance_norm():
    """The computation of --channels_last on CUDA."""
    x = torch.randn(2, 3, 8, 6, dtype=torch.double)
    grouped = torch.native_group_norm(x, None, None, 2, 3, 48, 3, 1e-5)[0]
    torch.testing.assert_close(grouped, nn.InstanceNorm2d(3)(x))
