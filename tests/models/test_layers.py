"""Layers: blur filters against the functions they approximate, norms, and PyTorch's wrong gradient on the CPU."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models import networks
from models.architectures import adjustable
from models.architectures.layers import make_norm, needs_bias

INSTANCE = networks.get_norm_layer("instance")


def noise(*shape):
    return torch.randn(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(0))


# --- blur ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(1, 8))
def test_filter_is_binomial_and_sums_to_one(size):
    kernel = networks.get_filter(size)
    row = torch.ones(1)
    for _ in range(size - 1):  # Pascal: each row is the last one added to itself, shifted
        row = F.pad(row, (0, 1)) + F.pad(row, (1, 0))
    torch.testing.assert_close(kernel, torch.outer(row, row) / row.sum() ** 2)
    assert kernel.shape == (size, size)


def test_filters_and_paddings_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"filter size 8: .*1, 2, 3"):
        networks.get_filter(8)
    with pytest.raises(ValueError, match=r"padding 'mirror': .*reflect"):
        networks.get_pad_layer("mirror")
    assert networks.get_pad_layer("refl") is adjustable.ReflectionPad2d
    assert networks.get_pad_layer("repl") is adjustable.ReplicationPad2d
    assert issubclass(adjustable.ReflectionPad2d, nn.ReflectionPad2d)
    assert issubclass(adjustable.ReplicationPad2d, nn.ReplicationPad2d)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (2, 9)])
def test_downsample_averages_neighbouring_pixels(size):
    x = noise(2, 3, *size)
    twice = F.avg_pool2d(F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 2, 1), 2, 2)
    down = networks.Downsample(3).double()
    torch.testing.assert_close(down(x), twice)
    assert down(x).shape[-2:] == (-(-size[0] // 2), -(-size[1] // 2))
    assert list(down.state_dict()) == ["filt"] and down.filt.shape == (3, 1, 3, 3)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 9)])
def test_upsample_is_bilinear(size):
    x = noise(2, 3, *size)
    up = networks.Upsample(3).double()
    torch.testing.assert_close(up(x), F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
    assert list(up.state_dict()) == ["filt"] and up.filt.shape == (3, 1, 4, 4)


@pytest.mark.parametrize("filt_size", range(1, 8))
def test_resampling_gives_the_documented_size_with_any_filter(filt_size):
    x = noise(1, 2, 9, 12)
    kernel = (4 * networks.get_filter(filt_size)).double().repeat(2, 1, 1, 1)
    grown = F.conv_transpose2d(
        F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, None, 2, 1 + (filt_size - 1) // 2, 0, 2
    )
    expected = grown[:, :, 1:, 1:] if filt_size % 2 else grown[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(networks.Upsample(2, filt_size=filt_size).double()(x), expected)
    if filt_size > 1:
        assert networks.Downsample(2, filt_size=filt_size).double()(x).shape == (1, 2, 5, 6)


# --- norms -----------------------------------------------------------------------------------------------------------


def test_only_convolutions_before_instance_norm_have_biases():
    biased = {word: needs_bias(networks.get_norm_layer(word)) for word in ("instance", "batch", "syncbatch", "none")}
    assert biased == {"instance": True, "batch": False, "syncbatch": False, "none": False}
    assert needs_bias(nn.InstanceNorm2d) and needs_bias(functools.partial(nn.InstanceNorm2d, affine=True))
    assert not needs_bias(nn.BatchNorm2d)
    # networks of plug-ins contain this comparison
    assert INSTANCE.func is nn.InstanceNorm2d and isinstance(INSTANCE, functools.partial)


def test_make_norm_keeps_class_keys_and_values():
    norm = make_norm(INSTANCE, 3)
    x = torch.randn(2, 3, 5, 5)
    assert type(norm) is adjustable.InstanceNorm2d and norm.state_dict() == {}
    assert isinstance(norm, nn.InstanceNorm2d) and type(norm).__name__ == "InstanceNorm2d"
    assert torch.equal(norm(x), nn.InstanceNorm2d(3)(x))


def test_sync_batch_norm_works_on_the_cpu(tmp_path):
    x = torch.randn(2, 3, 5, 5)
    norm = networks.get_norm_layer("syncbatch")(3)
    torch.testing.assert_close(norm(x), nn.BatchNorm2d(3)(x))  # a single process has nothing to synchronise
    store = tmp_path / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match=r"SyncBatchNorm .*GPU"):
            norm(x)
    finally:
        torch.distributed.destroy_process_group()


# --- gradients that arrive channels last -----------------------------------------------------------------------------


def channels_last_gradient(f):
    """f, with an operation after it whose gradient has the memory layout channels_last."""
    return lambda x: f(x).permute(0, 2, 3, 1).contiguous()


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_gradients_of_a_resnet_block_are_correct_in_any_layout(batch, norm):
    torch.manual_seed(0)
    block = networks.ResnetBlock(2, "reflect", networks.get_norm_layer(norm), False, True).double()
    x = noise(batch, 2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(block, x)
    assert torch.autograd.gradcheck(channels_last_gradient(block), x)
    layout = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    assert torch.autograd.gradcheck(channels_last_gradient(block), layout)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("slope", [1.0, 0.2])
def test_second_derivatives_through_norm_and_in_place_activation_are_correct(affine, slope):
    norm = make_norm(functools.partial(nn.InstanceNorm2d, affine=affine), 2).double()
    activation = nn.Identity() if slope == 1 else nn.LeakyReLU(slope, inplace=True)
    f = channels_last_gradient(lambda x: activation(norm(x)))
    x = noise(1, 2, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)  # the gradient penalty goes through D's norms twice


@pytest.mark.parametrize("no_antialias", [False, True])
def test_gradients_of_patches_of_every_feature_are_correct(no_antialias):
    torch.manual_seed(0)
    more = {"no_antialias": no_antialias, "no_antialias_up": no_antialias}
    net = networks.define_G(3, 3, 2, "resnet_4blocks", "instance", init_gain=0.5, **more).double()
    image = noise(1, 3, 16, 16)
    for layer in range(len(net.model)):
        gradients = []
        for gather in (by_permuting, by_flattening):
            x = image.clone().requires_grad_()
            gather(net(x, [layer], encode_only=True)[0]).pow(2).cumsum(1).sin().sum().backward()
            gradients.append(x.grad)
        torch.testing.assert_close(*gradients, atol=1e-10, rtol=1e-10)


def by_permuting(feature):
    return feature.permute(0, 2, 3, 1).flatten(1, 2)  # (N, H*W, C), whose gradient arrives channels last


def by_flattening(feature):
    flat = feature.flatten(2)
    return flat[:, :, torch.arange(flat.shape[2])].transpose(1, 2)  # the same; indexing makes its gradient contiguous
