"""define_G and define_D: keys and outputs of the released networks, initialisation, and messages for wrong values."""

import argparse
import copy
import inspect
import pickle

import pytest
import torch
from parity_tools import check_block, fill, make_input, read
from torch import nn

from models import networks, tables
from models.architectures import layers

FROM_OPT = ("load_size", "crop_size", "stylegan2_G_num_downsampling")


def build(case):
    arguments = dict(case["ctor"])
    opt = argparse.Namespace(**{name: arguments.pop(name) for name in FROM_OPT if name in arguments})
    for old in ("normG", "normD"):
        if old in arguments:
            arguments["norm"] = arguments.pop(old)
    define = networks.define_G if case["kind"] == "G" else networks.define_D
    return fill(define(**arguments, opt=opt), case["fill_name"], unit=case.get("fill_rule") == "unit")


# The projectors among them are in test_patch_sampler.py, StarGAN's networks in test_stargan_networks.py.
CASES = [c for c in read("networks")["cases"] if c["kind"] in ("G", "D") and c["reference"] != "stargan"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_network_is_the_released_one(case):
    net = build(case)
    assert [[key, list(value.shape)] for key, value in net.state_dict().items()] == case["state_dict"]
    assert sum(parameter.numel() for parameter in net.parameters()) == case["n_params"]
    image = make_input(case["input"])
    with torch.no_grad():
        if "output_eval" in case:
            check_block(net.eval()(image), case["output_eval"])
        check_block(net.train()(image), case["output_train"])
        if "features" in case:
            features = net(image, case["features"]["nce_layers"], encode_only=True)
            assert len(features) == len(case["features"]["per_layer"])
            for feature, block in zip(features, case["features"]["per_layer"]):
                check_block(feature, block)


def small_G(netG="resnet_4blocks", norm="instance", **more):
    torch.manual_seed(0)
    return networks.define_G(3, 3, 4, netG, norm, init_gain=0.5, **more)


# --- words ---------------------------------------------------------------------------------------------------------


def test_every_value_in_the_tables_can_be_built():
    for word in tables.GENERATORS:
        assert isinstance(networks.define_G(1, 2, 2, word), nn.Module)
    for word in tables.DISCRIMINATORS:
        assert isinstance(networks.define_D(1, 2, word), nn.Module)
    assert tuple(layers.NORM_LAYERS) == tables.NORMS
    assert tuple(layers.FILL_WEIGHT) == tables.INITS


def test_a_row_in_the_table_is_enough_for_a_new_value(monkeypatch):
    row = tables.Network("unet.UnetGenerator", {"num_downs": 5}, stride=32)
    monkeypatch.setitem(tables.GENERATORS, "unet_32", row)
    net = networks.define_G(3, 3, 2, "unet_32")
    assert isinstance(net, networks.UnetGenerator) and net.num_downs == 5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: networks.define_G(3, 3, 4, "resnet_9block"), "--netG resnet_9block: .*did you mean 'resnet_9blocks'"),
        (lambda: networks.define_G(3, 3, 4, "resnet_cat"), "--netG resnet_cat: .*--nz.*resnet_9blocks"),
        (lambda: networks.define_D(3, 4, "bascic"), "--netD bascic: .*n_layers.*did you mean 'basic'"),
        (lambda: networks.define_D(3, 4, "patch"), "--netD patch: .*build no network.*basic"),
        (lambda: networks.define_G(3, 3, 4, "unet_128", norm="group"), "norm 'group': .*instance"),
        (lambda: networks.define_D(3, 4, "basic", init_type="he"), "--init_type he: .*kaiming"),
        (lambda: networks.define_D(3, 4, "n_layers", n_layers_D=0), "at least 1"),
        (lambda: networks.UnetGenerator(3, 3, 4), "at least 5"),
        (lambda: networks.ResnetGenerator(3, 3, 4, padding_type="mirror"), "padding 'mirror': .*reflect"),
    ],
)
def test_the_error_for_an_unknown_value_lists_the_known_values(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_all_is_sorted_and_complete_and_networks_defines_no_class():
    assert networks.__all__ == sorted(networks.__all__)
    assert all(hasattr(networks, name) for name in networks.__all__)
    classes = [c for c in vars(networks).values() if inspect.isclass(c)]
    assert classes and all(c.__module__ != networks.__name__ for c in classes)


# --- positions, devices ----------------------------------------------------------------------------------------------


def has_blur(net):
    return any(key.endswith("filt") for key in net.state_dict())


def test_the_ninth_argument_is_no_antialias_or_gpu_ids_by_its_type(monkeypatch):
    placed = []
    monkeypatch.setattr(networks, "_place", lambda net, gpu_ids, opt=None: placed.append(gpu_ids) or net)
    G = (3, 3, 2, "resnet_4blocks", "instance", False, "normal", 0.02)
    D = (3, 2, "basic", 3, "instance", "normal", 0.02)
    for define, first in ((networks.define_G, G), (networks.define_D, D)):
        assert not has_blur(define(*first))
        assert not has_blur(define(*first, [])) and not has_blur(define(*first, [3]))
        assert placed[-2:] == [[], [3]]
        assert has_blur(define(*first, False)) and not has_blur(define(*first, True, gpu_ids=[1]))
        assert placed[-1] == [1]
    contrastive = networks.define_G(*G, False, True, [2], argparse.Namespace())
    assert has_blur(contrastive) and placed[-1] == [2]
    assert [key for key in contrastive.state_dict() if key.endswith("filt")] == ["model.7.filt", "model.11.filt"]


def test_network_goes_to_the_device_of_opt():
    opt = argparse.Namespace(device=torch.device("meta"))
    assert next(networks.define_G(3, 3, 2, "resnet_4blocks", opt=opt).parameters()).is_meta
    assert next(networks.define_D(3, 2, "pixel", opt=opt).parameters()).is_meta
    assert not next(networks.define_D(3, 2, "pixel", opt=argparse.Namespace()).parameters()).is_meta


# --- initialisation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("init_type", "std"),
    [("normal", 0.1), ("xavier", 0.1 * (2 / (64 * 9 + 32 * 9)) ** 0.5), ("kaiming", (2 / (64 * 9)) ** 0.5)],
)
def test_weights_have_the_standard_deviation_of_init_type(init_type, std):
    torch.manual_seed(0)
    conv = networks.init_net(nn.Conv2d(64, 32, 3), init_type, 0.1)
    assert float(conv.weight.detach().std()) == pytest.approx(std, rel=0.03)
    assert float(conv.weight.detach().mean()) == pytest.approx(0, abs=0.03 * std)
    assert not conv.bias.any()


def test_orthogonal_rows_are_orthogonal_and_scaled():
    rows = networks.init_weights(nn.Linear(64, 32), "orthogonal", 0.1).weight.detach()
    torch.testing.assert_close(rows @ rows.T, 0.01 * torch.eye(32), atol=1e-6, rtol=0)


def test_only_batch_norm_scales_are_drawn():
    torch.manual_seed(0)
    norms = nn.ModuleList([nn.BatchNorm2d(4000), nn.SyncBatchNorm(9), nn.InstanceNorm2d(9, affine=True)])
    networks.init_weights(norms, "normal", 0.02)
    assert float(norms[0].weight.detach().mean()) == pytest.approx(1, abs=2e-3)
    assert float(norms[0].weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not norms[0].bias.any()
    assert torch.equal(norms[1].weight, torch.ones(9)) and torch.equal(norms[2].weight, torch.ones(9))


def test_initialisation_can_be_skipped_and_is_repeatable(capsys):
    plain = nn.Conv2d(2, 2, 1)
    before = plain.weight.clone()
    assert torch.equal(networks.init_net(plain, initialize_weights=False).weight, before)
    for one, other in zip(small_G().parameters(), small_G().parameters()):
        assert torch.equal(one, other)
    networks.init_weights(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()), debug=True)
    assert capsys.readouterr().out == "Conv2d\n"


# --- generators ------------------------------------------------------------------------------------------------------


def test_features_are_returned_with_the_image():
    net = small_G(no_antialias=False, no_antialias_up=False)
    image = torch.randn(1, 3, 16, 16)
    wanted = [0, 4, 8, 12]
    output, along = net(image, wanted)
    alone = net(image, tuple(wanted), encode_only=True)
    assert wanted == [0, 4, 8, 12]
    assert torch.equal(output, net(image)) and torch.equal(net(image, [], encode_only=True), output)
    assert [tuple(f.shape[1:]) for f in alone] == [(3, 22, 22), (8, 16, 16), (16, 8, 8), (16, 4, 4)]
    assert all(torch.equal(a, b) for a, b in zip(along, alone))


def test_minus_one_is_the_last_layer_and_the_callers_list_is_not_changed():
    net, wanted = small_G(), [4, -1]
    image = torch.randn(1, 3, 16, 16)
    output, features = net(image, wanted)
    assert len(features) == 2 and torch.equal(features[-1], output)
    assert torch.equal(net(image, wanted, encode_only=True)[-1], output)
    assert wanted == [4, -1]


@pytest.mark.parametrize(
    ("wanted", "says"), [([8, 4], "ascending"), ([4, 4], "once"), ([99], "0 to 22"), ([-2], "-1 is")]
)
def test_layers_out_of_order_or_range_are_refused(wanted, says):
    with pytest.raises(ValueError, match=says):
        small_G()(torch.randn(1, 3, 16, 16), wanted)


def test_features_before_an_in_place_relu_are_rectified_as_released():
    image = torch.randn(1, 3, 16, 16)
    plain = small_G()  # layer 8 is a norm, 9 its ReLU
    along, alone = plain(image, [4, 8])[1], plain(image, [4, 8], encode_only=True)
    assert torch.equal(along[0], alone[0])
    assert alone[1].min() < 0 and torch.equal(along[1], alone[1].relu())
    bare = small_G(norm="none", no_antialias=False)  # without a norm, layer 4's own output meets the ReLU
    assert bare(image, [4, 8], encode_only=True)[0].min() == 0


@pytest.mark.parametrize("word", tables.GENERATORS)
@pytest.mark.parametrize("size", [(27, 33), (1, 1), (64, 5), (130, 40)])
def test_every_generator_takes_images_of_any_size(word, size):
    net = small_G(word, "batch").eval()
    with torch.no_grad():
        assert net(torch.randn(1, 3, *size)).shape == (1, 3, *size)


def test_an_unfit_size_is_padded_by_reflection_and_cropped():
    net, image = small_G(), torch.randn(1, 3, 27, 33)
    mirrored = torch.cat((image, image[..., -4:-1].flip(3)), dim=3)
    mirrored = torch.cat((mirrored, mirrored[..., -2:-1, :]), dim=2)
    assert mirrored.shape == (1, 3, 28, 36)
    with torch.no_grad():
        assert torch.equal(net(image), net(mirrored)[..., :27, :33])
        made, features = net(image, [0, 4])
        assert torch.equal(made, net(image))
        assert torch.equal(features[1], net(mirrored, [0, 4])[1][1])


def test_gradients_reach_every_pixel_of_an_image_of_an_unfit_size():
    image = torch.randn(1, 3, 27, 33, requires_grad=True)
    small_G("unet_128", "batch")(image).square().sum().backward()
    assert (image.grad != 0).all()


def test_dropout_has_the_position_that_checkpoints_imply():
    keys = list(networks.ResnetGenerator(3, 3, 4, networks.get_norm_layer("batch"), True, 1).state_dict())
    assert "model.10.conv_block.6.weight" in keys and "model.10.conv_block.5.weight" not in keys
    for word, count in (("unet_128", 2), ("unet_256", 3)):
        net = small_G(word, "batch", use_dropout=True)
        dropouts = [m for m in net.modules() if isinstance(m, nn.Dropout)]
        assert len(dropouts) == count
        assert list(net.state_dict()) == list(small_G(word, "batch").state_dict())


@pytest.mark.parametrize("padding", ["reflect", "replicate", "zero"])
def test_resnet_block_keeps_the_shape_with_any_padding(padding):
    block = networks.ResnetBlock(3, padding, networks.get_norm_layer("none"), False, True)
    indices = ("0", "3") if padding == "zero" else ("1", "5")
    assert list(block.state_dict()) == [f"conv_block.{i}.{part}" for i in indices for part in ("weight", "bias")]
    assert block(torch.randn(2, 3, 5, 7)).shape == (2, 3, 5, 7)


@pytest.mark.parametrize("norm", ["instance", "batch", "syncbatch", "none"])
def test_networks_copy_and_pickle(norm):
    net = small_G(norm=norm, no_antialias=False)
    image = torch.randn(2, 3, 16, 16)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(image), net(image))
        twin(image).sum().backward()


# --- discriminators --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_layers", "side"), [(1, 126), (2, 62), (3, 30), (4, 14), (5, 6)])
def test_a_blurred_discriminator_has_the_same_number_of_patches(n_layers, side):
    for no_antialias in (True, False):
        net = networks.define_D(3, 1, "n_layers", n_layers, "instance", no_antialias=no_antialias)
        with torch.no_grad():
            assert net(torch.randn(1, 3, 256, 256)).shape == (1, 1, side, side)


@pytest.mark.parametrize(("no_antialias", "field"), [(True, 70), (False, 84)])
def test_receptive_field_of_the_basic_discriminator(no_antialias, field):
    net = networks.define_D(1, 2, "basic", norm="none", init_gain=0.5, no_antialias=no_antialias).double()
    image = torch.randn(1, 1, 256, 256, dtype=torch.double, requires_grad=True)
    net(image)[0, 0, 15, 15].backward()
    rows = image.grad[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == field
