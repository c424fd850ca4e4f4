"""The meter: shares of several processes, order and batch size do not change scores."""

import numpy as np
import pytest
import torch

from util.errors import InputError
from util.metrics import distributions, meter, table
from util.metrics.meter import Meter, Sample, Settings, combine, merged
from util.metrics.provenance import Unavailable

NAMES = ["l1", "edges", "kid", "fid"]


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    """Four features of an image, in place of Inception's."""

    def network(images):
        assert images.dtype == torch.uint8
        return images.double().mean((2, 3)).repeat(1, 2)[:, :4] / 255

    record = {"feature_network": {"network": "tiny", "sha256": "0" * 64}, "resize": None}
    monkeypatch.setattr(distributions, "inception", lambda settings: (network, record))


def image(seed, size=12):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


SAMPLES = [Sample(f"{number}", image(number), image(number + 50), image(number + 90)) for number in range(7)]


def measured(samples, settings):
    gauge = Meter(NAMES, settings)
    for sample in samples:
        gauge.add(sample)
        gauge.add_real(f"real {sample.name}", sample.real)
    return gauge.take()


def scores(*shares, batch_size=3):
    settings = Settings(batch_size=batch_size, resamples=20)
    return combine(NAMES, merged([measured(share, settings) for share in shares]), settings)


def test_shares_of_ranks_order_and_batches_change_no_value():
    whole = scores(SAMPLES)
    assert list(whole["metrics"]) == NAMES and whole["skipped"] == {}
    assert whole["metrics"]["kid"]["provenance"]["samples"] == {"real": 7, "fake": 7}
    assert scores(SAMPLES[4:], SAMPLES[:4]) == whole
    assert scores(SAMPLES[::-1], []) == whole
    assert scores(SAMPLES, batch_size=1) == whole


def test_a_real_image_counts_once_and_is_kept_for_the_next_evaluation():
    gauge = Meter(["kid"], Settings(resamples=0))
    for number in range(3):
        gauge.add(Sample(str(number), image(number)))
        gauge.add_real("the same", image(9))
        gauge.add_real(f"another {number}", image(20 + number))
    first = gauge.take()
    assert sorted(first["features"]["inception"]["real"]) == ["another 0", "another 1", "another 2", "the same"]
    gauge.add(Sample("3", image(3)))
    second = gauge.take()
    assert sorted(second["features"]["inception"]["fake"]) == ["3"]
    assert second["features"]["inception"]["real"].keys() == first["features"]["inception"]["real"].keys()


def test_a_metric_that_one_process_can_not_compute_is_skipped_by_all():
    settings = Settings(resamples=0)
    gauges = [Meter(["ssim", "l1"], settings) for _ in range(2)]
    gauges[0].add(Sample("large", image(0), image(1)))
    gauges[1].add(Sample("small", image(0, 8), image(1, 8)))
    found = combine(["ssim", "l1"], merged([gauge.take() for gauge in gauges]), settings)
    assert list(found["metrics"]) == ["l1"] and "'small'" in found["skipped"]["ssim"]
    assert "ssim" not in found["images"]["large"]


def test_missing_weights_skip_only_metrics_of_sets(monkeypatch):
    def missing(settings):
        raise Unavailable("the weights are missing")

    monkeypatch.setattr(distributions, "inception", missing)
    found = scores(SAMPLES)
    assert found["skipped"] == dict.fromkeys(("kid", "fid"), "the weights are missing")
    assert list(found["metrics"]) == ["l1", "edges"]


def test_nothing_to_compare_is_an_error():
    with pytest.raises(InputError, match="l1"):
        combine(["l1"], Meter(["l1"], Settings()).take(), Settings())


def test_every_metric_has_an_implementation():
    made = {*meter.MAKERS, "judge", *(name for name, each in table.METRICS.items() if each.kind == table.SET)}
    assert made == set(table.OF_PHOTOS)


@pytest.mark.parametrize(
    ("text", "message"), [("", "names joined"), ("l1,sim", "sim: no such metric"), ("mean_iou", "label")]
)
def test_unknown_metrics_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        table.parse(text, "--metrics", table.OF_PHOTOS)
    assert table.parse(" l1, kid,l1", "--metrics") == ["l1", "kid"]
