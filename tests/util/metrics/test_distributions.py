"""FID and KID: against torch-fidelity with a small network of random weights, and properties of the distances."""

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from util.evaluation import Settings
from util.metrics import distributions, provenance
from util.metrics.distributions import features, fid, fid_interval, kid, kid_interval
from util.metrics.meter import Features
from util.metrics.provenance import Unavailable


class Tiny(FeatureExtractorBase):
    """Eight features of an 8-bit image, by random weights that are always the same."""

    def __init__(self, name="tiny", features_list=("8",), **kwargs):
        super().__init__(name, list(features_list))
        weight = np.random.default_rng(3).normal(0, 1, (8, 3, 4, 4))
        self.weight = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float32), requires_grad=False)

    @staticmethod
    def get_provided_features_list():
        return ("8",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "8"

    @staticmethod
    def can_be_compiled():
        return False

    def forward(self, images):
        return (torch.conv2d(images.float() / 255, self.weight, stride=4).relu().mean((2, 3)),)


def pictures(seed, count, level=128):
    values = np.random.default_rng(seed).normal(level, 50, (count, 16, 16, 3))
    return list(np.clip(values, 0, 255).astype(np.uint8))


def tiny_features(images, batch_size=5):
    gathered = Features(Tiny(), batch_size, "cpu")
    for number, image in enumerate(images):
        gathered.add("fake", str(number), image)
    gathered.flush("fake")
    return np.stack(list(gathered.found["fake"].values()))


@pytest.mark.filterwarnings("ignore:This DataLoader")  # it always uses four workers
def test_fid_and_kid_are_those_of_torch_fidelity(tmp_path):
    sets = {"real": pictures(0, 14), "fake": pictures(1, 14, level=100)}
    for name, images in sets.items():
        (tmp_path / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{index:02d}.png")
    torch_fidelity.register_feature_extractor("tiny", Tiny)
    expected = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "real"),
        input2=str(tmp_path / "fake"),
        fid=True,
        kid=True,
        kid_subsets=1,
        kid_subset_size=14,
        feature_extractor="tiny",
        cuda=False,
        cache=False,
        verbose=False,
    )
    real, fake = (tiny_features(images) for images in sets.values())
    assert fid(real, fake) == pytest.approx(expected["frechet_inception_distance"], rel=1e-4)
    assert kid(real, fake) == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)


@pytest.mark.parametrize("count", [5, 40])  # fewer images than features, and more
def test_fid_by_its_definition(count):
    import scipy.linalg

    generator = np.random.default_rng(0)
    real, fake = generator.normal(0, 1, (count, 8)), generator.normal(0.3, 2, (count + 3, 8))
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second + 1e-12 * np.eye(8))
    expected = np.square(real.mean(0) - fake.mean(0)).sum() + np.trace(first + second - 2 * root.real)
    assert fid(real, fake) == pytest.approx(expected, rel=1e-4)


def test_kid_by_its_definition(monkeypatch):
    monkeypatch.setattr(distributions, "BLOCK", 3)
    real, fake = tiny_features(pictures(0, 7)), tiny_features(pictures(1, 5))

    def kernel(x, y):
        return ((x @ y) / 8 + 1) ** 3

    def own(values):
        return np.mean([kernel(x, y) for i, x in enumerate(values) for j, y in enumerate(values) if i != j])

    cross = np.mean([kernel(x, y) for x in real for y in fake])
    assert kid(real, fake) == pytest.approx(own(real) + own(fake) - 2 * cross)


def test_fid_and_kid_of_equal_distributions_are_about_0():
    values = tiny_features(pictures(0, 20))
    assert fid(values, values) == pytest.approx(0, abs=1e-9)
    assert fid(values, values[::-1]) == pytest.approx(0, abs=1e-9)
    halves = np.random.default_rng(0).normal(0, 1, (400, 8))
    assert abs(kid(halves[:200], halves[200:])) < 0.05


def test_order_and_batch_size_change_no_value():
    images, others = pictures(0, 11), tiny_features(pictures(1, 9))
    values = tiny_features(images, 11)
    assert np.allclose(values, tiny_features(images, 1), atol=1e-6)
    assert np.allclose(values, tiny_features(images, 4), atol=1e-6)
    backwards = tiny_features(images[::-1], 4)
    assert fid(values, others) == pytest.approx(fid(backwards, others), rel=1e-5)
    assert kid(values, others) == pytest.approx(kid(backwards, others), rel=1e-5)


def test_images_of_different_sizes_are_in_different_batches():
    images = [np.full((size, size, 3), 9, np.uint8) for size in (16, 16, 24, 16)]
    assert np.allclose(tiny_features(images), tiny_features(images[:1]), atol=1e-6)


def test_intervals_contain_the_value_and_are_repeatable():
    real, fake = tiny_features(pictures(0, 30)), tiny_features(pictures(1, 30, level=110))
    for distance, interval in ((fid, fid_interval), (kid, kid_interval)):
        low, high = interval(real, fake, 100, 7)
        assert low < distance(real, fake) < high
        assert [low, high] == interval(real, fake, 100, 7)
        assert [low, high] != interval(real, fake, 100, 8)
        assert interval(real, fake, 0, 7) is None


def test_intervals_of_kid_of_equal_distributions_contain_0():
    generator = np.random.default_rng(0)
    low, high = kid_interval(generator.normal(0, 1, (60, 8)), generator.normal(0, 1, (60, 8)), 300, 0)
    assert low < 0 < high


def test_two_images_are_needed():
    values = tiny_features(pictures(0, 3))
    with pytest.raises(Unavailable, match="at least 2 images"):
        distributions.compare("fid", values, values[:1], 10, 0, {})
    assert distributions.compare("kid", values[:2], values[1:], 50, 0, {})["interval"] is not None


def test_inception_reads_its_weights_from_metric_weights(tmp_path, monkeypatch):
    from torch_fidelity import feature_extractor_inceptionv3 as module

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    with pytest.raises(Unavailable, match=provenance.FILES["inception"].file):
        distributions.inception(Settings())

    class Untrained(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            pass

    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: None)
    torch.manual_seed(0)
    torch.save(Untrained("x", ["2048"]).state_dict(), tmp_path / provenance.FILES["inception"].file)
    network, record = distributions.inception(Settings(metric_weights=str(tmp_path)))
    assert features(pictures(0, 2), network).shape == (2, 2048)
    assert record["feature_network"]["published"] is False and "299" in record["resize"]
