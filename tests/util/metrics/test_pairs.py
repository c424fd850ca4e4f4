"""Metrics of pairs: values by hand and of scikit-image, and errors for images that are too small."""

import math

import numpy as np
import pytest
import skimage.metrics
import torch
import torchvision

from util.errors import InputError
from util.evaluation import Settings
from util.metrics import pairs, provenance
from util.metrics.provenance import Unavailable


def picture(seed, size=48):
    """Smooth structure and some noise, 8-bit (size, size + 7, 3)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, : size + 7] / 9
    base = np.stack([np.sin(x + k) + np.cos(y * (k + 1)) for k in range(3)], axis=2)
    return np.clip(127 + 45 * base + generator.normal(0, 15, base.shape), 0, 255).astype(np.uint8)


def test_l1_is_in_zero_to_one():
    black, gray = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)
    assert pairs.l1(Settings()).measure(gray, black) == pytest.approx(0.2)


def test_psnr_is_that_of_scikit_image():
    first, second = picture(0), picture(1)
    expected = skimage.metrics.peak_signal_noise_ratio(first, second, data_range=255)
    assert pairs.psnr(Settings()).measure(first, second) == pytest.approx(expected, abs=1e-9)


def test_ssim_is_that_of_scikit_image():
    first, second = picture(0), picture(1)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = skimage.metrics.structural_similarity(first, second, channel_axis=2, data_range=255, **gaussian)
    assert pairs.ssim(Settings()).measure(first, second) == pytest.approx(expected, abs=1e-6)


def test_metrics_of_an_image_with_itself_are_perfect():
    image = picture(0, 180)
    best = {"l1": 0, "psnr": math.inf, "ssim": 1, "ms_ssim": 1}
    for name, value in best.items():
        assert getattr(pairs, name)(Settings()).measure(image, image) == pytest.approx(value, abs=1e-6), name
    assert pairs.edge_correlation(image, image) == pytest.approx(1)


def test_ms_ssim_decreases_with_noise():
    image, measure = picture(0, 180), pairs.ms_ssim(Settings()).measure
    noise = np.random.default_rng(0).normal(0, 1, image.shape)
    values = [measure(np.clip(image + s * noise, 0, 255).astype(np.uint8), image) for s in (5, 40)]
    assert 1 > values[0] > values[1] > 0


@pytest.mark.parametrize(("name", "side"), [("ssim", 11), ("ms_ssim", 176)])
def test_the_smallest_image_size_of_each_metric(name, side):
    measure = getattr(pairs, name)(Settings()).measure
    enough, little = np.zeros((side, side, 3), np.uint8), np.zeros((side - 1, side, 3), np.uint8)
    assert measure(enough, enough) == pytest.approx(1)
    with pytest.raises(Unavailable, match=f"at least {side}x{side}"):
        measure(little, little)


def test_edges_is_high_for_inverted_contrast_and_low_for_another_image():
    image = picture(0)
    assert pairs.edge_correlation(255 - image, image) == pytest.approx(1)
    assert pairs.edge_correlation(np.random.default_rng(5).permutation(image), image) < 0.5
    flat = np.full_like(image, 7)
    assert (pairs.edge_correlation(flat, flat), pairs.edge_correlation(flat, image)) == (1, 0)


@pytest.fixture
def alexnet(tmp_path):
    """A folder with weights of AlexNet, random ones."""
    torch.manual_seed(0)
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), tmp_path / provenance.FILES["alex"].file)
    return tmp_path


@pytest.mark.filterwarnings("ignore::UserWarning")  # the package calls torchvision in a deprecated way
def test_lpips_uses_the_given_weights(alexnet):
    metric = pairs.lpips(Settings(metric_weights=str(alexnet)))
    first, second = picture(0, 64), picture(1, 64)
    assert metric.measure(first, first) == 0
    assert metric.measure(first, second) == pytest.approx(metric.measure(second, first), rel=1e-4)
    network = metric.provenance["feature_network"]
    assert len(network["sha256"]) == 64 and network["published"] is False

    import lpips

    trunk = torchvision.models.alexnet(weights=None)
    trunk.load_state_dict(torch.load(alexnet / provenance.FILES["alex"].file))
    reference = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    for name, layer in reference.net.named_modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.load_state_dict(trunk.features[int(name.rpartition(".")[2])].state_dict())
    with torch.no_grad():
        tensors = [pairs.unit(image, torch.float32) * 2 - 1 for image in (first, second)]
        assert metric.measure(first, second) == pytest.approx(float(reference(*tensors)), rel=1e-5)


def test_missing_or_wrong_weights_give_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    with pytest.raises(Unavailable) as caught:
        pairs.lpips(Settings())
    for word in ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "cache/checkpoints"):
        assert word in str(caught.value)
    with pytest.raises(InputError, match="--metric_weights"):
        pairs.lpips(Settings(metric_weights=str(tmp_path / "nowhere")))
    torch.save({"x": torch.zeros(1)}, tmp_path / provenance.FILES["alex"].file)
    with pytest.raises(InputError, match="not the weights of the network"):
        pairs.lpips(Settings(metric_weights=str(tmp_path)))


def test_weights_are_found_in_the_cache_and_by_path(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / provenance.FILES["vgg16"].file
    path.parent.mkdir()
    path.touch()
    assert (
        provenance.find("vgg16")
        == provenance.find("vgg16", str(path))
        == provenance.find("vgg16", str(path.parent))
        == str(path)
    )
