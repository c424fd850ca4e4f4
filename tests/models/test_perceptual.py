"""The perceptual term (--lambda_perceptual): values, gradients, weights from files, and what it stays out of.

The classifiers have random weights here, in files of the published layout.
"""

import pytest
import torch
import torchvision
from distributed.cases import EQUAL, NETS, build, parameters, steps

import train
from models import perceptual
from util.errors import InputError
from util.metrics import provenance
from util.metrics.pairs import fill_trunk
from util.numerics.precision import Precision
from util.run import states

ALL = slice(None)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """kind -> a file with weights that keep the size of the maps, and no classifier head."""
    folder, files = tmp_path_factory.mktemp("weights"), {}
    for kind, (network, _) in perceptual.LAYERS.items():
        with torch.device("meta"):
            shapes = getattr(torchvision.models, network)(weights=None).features.state_dict()
        generator = torch.Generator().manual_seed(1)
        state = {}
        for key, value in shapes.items():
            spread = (2 / value[0].numel()) ** 0.5 if value.ndim == 4 else 0.1
            state[f"features.{key}"] = torch.randn(value.shape, generator=generator) * spread
        files[kind] = str(folder / f"random_{network}.pth")
        torch.save(state, files[kind])
    return files


def images(seed=0, count=2, channels=3):
    return torch.rand(count, channels, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def make(kind, weights, precision="fp32", **flags):
    opt = type("Options", (), flags)
    return perceptual.make(kind, weights[kind], opt, CPU, Precision(precision, CPU))


def test_the_vgg_distance_equals_values_computed_by_hand(weights):
    layers = perceptual.load_layers("vgg19", weights["vgg"])
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in (perceptual.MEAN, perceptual.DEVIATION))
    maps = []
    for each in (images(1), images(2)):
        x, found = ((each + 1) / 2 - mean) / deviation, []
        for number, layer in enumerate(layers[:30]):
            x = layer(x)
            if number in (1, 6, 11, 20, 29):  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
                found.append(x.clone())
        maps.append(found)
    weighted = zip((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), *maps)
    expected = sum(weight * (one - other).abs().mean() for weight, one, other in weighted)
    torch.testing.assert_close(make("vgg", weights)(images(1), images(2)), expected)


@pytest.mark.slow  # the package builds all of VGG-16
def test_lpips_is_that_of_the_package(weights):
    lpips = pytest.importorskip("lpips")
    reference = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    fill_trunk(reference.net, weights["lpips"])
    expected = reference(images(1), images(2)).mean()
    torch.testing.assert_close(make("lpips", weights)(images(1), images(2)), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", ["vgg", "lpips"])
def test_the_distance_of_equal_images_is_0_and_only_the_generated_image_gets_gradients(kind, weights):
    loss = make(kind, weights)
    assert loss(images(1), images(1)) == 0
    fake, real = images(1).requires_grad_(), images(2).requires_grad_()
    value = loss(fake, real)
    value.backward()
    assert value.ndim == 0 and value > 0
    assert real.grad is None and fake.grad.isfinite().all() and fake.grad.abs().sum() > 0
    assert not loss.maps.training and not any(parameter.requires_grad for parameter in loss.maps.parameters())


def test_lpips_has_a_finite_gradient_where_features_are_0(weights, tmp_path):
    pytest.importorskip("lpips")
    state = torch.load(weights["lpips"], weights_only=True)
    state["features.0.bias"] = torch.full_like(state["features.0.bias"], -100.0)  # the first activations are 0
    torch.save(state, tmp_path / "dead.pth")
    fake = images(1).requires_grad_()
    make("lpips", {"lpips": str(tmp_path / "dead.pth")})(fake, images(2)).backward()
    assert fake.grad.isfinite().all()


def test_gray_images_are_repeated_to_three_channels(weights):
    loss, gray = make("vgg", weights), [images(seed, channels=1) for seed in (1, 2)]
    torch.testing.assert_close(loss(*gray), loss(*(each.expand(-1, 3, -1, -1) for each in gray)))


def test_half_precision_and_memory_layout(weights):
    expected = make("vgg", weights)(images(1), images(2))
    half = make("vgg", weights, "bf16")
    kinds = []
    half.maps.slices[0][0].register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    small = [images(seed)[:1, :, :16, :16] for seed in (1, 2)]
    found = half(*small)
    assert kinds == [torch.bfloat16] * 2 and found.dtype == torch.float32
    torch.testing.assert_close(found, make("vgg", weights)(*small), rtol=0.05, atol=0)
    laid_out = make("vgg", weights, channels_last=True)
    assert laid_out.maps.slices[1][0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(laid_out(images(1), images(2)), expected)


def words(weights, kind="vgg", weight="2"):
    flags = ["--lambda_perceptual", weight, "--perceptual", kind, "--perceptual_weights", weights[kind]]
    return [*EQUAL["pix2pix"], *flags]


def test_a_training_adds_the_term_and_stores_nothing_of_the_classifier(weights):
    model, plain = build(words(weights), 2), build(EQUAL["pix2pix"], 2)
    for key, value in parameters(plain).items():  # the classifier has drawn no random numbers
        assert torch.equal(parameters(model)[key], value), key
    steps(model, ALL, 2, count=1)
    model.forward()
    model.backward_G()
    term = 2 * model._perceptual(model.fake_B, model.real_B)
    torch.testing.assert_close(model.loss_G_perceptual, term)
    torch.testing.assert_close(model.loss_G, model.loss_G_GAN + model.loss_G_L1 + term.double())
    assert "G_perceptual" in model.get_current_losses()
    steps(plain, ALL, 2, count=1)
    state, without = states.model_state(model), states.model_state(plain)
    assert {name: list(net) for name, net in state["networks"].items()} == {
        name: list(net) for name, net in without["networks"].items()
    }
    assert [len(each["state"]) for each in state["optimizers"]] == [
        len(each["state"]) for each in without["optimizers"]
    ]
    assert any(not torch.equal(parameters(model)[key], value) for key, value in parameters(plain).items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    ["--channels_last", "--accumulate 2", "--lambda_feat 10 --netD n_layers --n_layers_D 1 --num_D 2"],
)
def test_it_works_with_the_other_options(more, weights):
    model = build([*words(weights), *more.split()], 1, double=False)
    steps(model, ALL, model.opt.accumulate, count=2)
    assert all(value.isfinite().all() for value in parameters(model).values())


def test_missing_weights_are_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    (tmp_path / "data" / "train").mkdir(parents=True)
    torchvision.utils.save_image(torch.rand(3, 32, 64), tmp_path / "data" / "train" / "1.png")
    where = ["--dataroot", str(tmp_path / "data"), "--checkpoints_dir", str(tmp_path / "runs"), "--device", "cpu"]
    for kind, network in (("vgg", "vgg19"), ("lpips", "vgg16")):
        flags = ["--model", "pix2pix", *NETS, "--num_threads", "0", "--lambda_perceptual", "1", "--perceptual", kind]
        with pytest.raises(InputError) as refusal:
            train.main([*where, *flags])
        published = provenance.FILES[network]
        for word in ("--lambda_perceptual", published.file, published.url, "cache/checkpoints", "--perceptual_weights"):
            assert word in str(refusal.value)
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "runs").exists()


def test_weights_are_found_in_a_folder_and_in_the_cache(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    target = tmp_path / "checkpoints" / provenance.FILES["vgg19"].file
    target.parent.mkdir()
    target.symlink_to(weights["vgg"])
    expected = make("vgg", weights)(images(1), images(2))
    for path in (None, str(target.parent), str(target)):
        assert torch.equal(make("vgg", {"vgg": path})(images(1), images(2)), expected)


def test_files_that_are_not_the_weights_are_refused(weights, tmp_path):
    with pytest.raises(InputError, match=r"--perceptual_weights nowhere: there is no such file or folder"):
        make("vgg", {"vgg": "nowhere"})
    with pytest.raises(InputError, match=r"not the weights of torchvision's vgg19"):
        make("vgg", {"vgg": weights["lpips"]})
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"not the weights of torchvision's vgg19"):
        make("vgg", {"vgg": str(tmp_path / "other.pth")})


REFUSED = {
    "--model cycle_gan --lambda_perceptual 1": r"flag of --model pix2pix .* true image, which only paired data has",
    "--model dclgan --lambda_perceptual 1": r"flag of --model pix2pix .* true image, which only paired data has",
    "--model pix2pix --perceptual vgg": r"--perceptual vgg: the perceptual loss has no weight; give --lambda",
    "--model pix2pix --lambda_perceptual 1 --perceptual vgh": r"--perceptual vgh: choose vgg, lpips; did you mean 'v",
    "--model pix2pix --lambda_perceptual 1 --output_nc 2": r"takes images of 3 channels, .* --output_nc is 2",
}


@pytest.mark.parametrize("given", REFUSED)
def test_what_does_not_fit_is_refused(given):
    model = given.split()[1]
    with pytest.raises(InputError, match=REFUSED[given]):
        build([*EQUAL[model], *given.split()[2:]], 1)


def test_small_images_are_refused(weights):
    with pytest.raises(ValueError, match="under 16 pixels"):
        make("vgg", weights)(torch.rand(1, 3, 15, 32), torch.rand(1, 3, 15, 32))
