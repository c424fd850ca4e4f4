"""--precision and --compile: values, defaults by device and program, and what later runs restore."""

import pytest
import torch

from options import checks
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError
from util.numerics import compiling, device, precision

RUN = ["--dataroot", "none", "--name", "run"]


def train(tmp_path, *words):
    options = TrainOptions([*RUN, "--checkpoints_dir", str(tmp_path), "--device", "cpu", *words])
    return options, options.parse()


def test(tmp_path, *words):
    return TestOptions([*RUN, "--checkpoints_dir", str(tmp_path), "--device", "cpu", *words]).parse()


test.__test__ = False  # the program, not a test


@pytest.mark.parametrize("options", [TrainOptions, TestOptions])
@pytest.mark.parametrize(
    ("words", "must_say"),
    [
        (["--precision", "fp23"], ["--precision fp23", "fp32, tf32, bf16, fp16", "did you mean"]),
        (["--precision", "half"], ["--precision half", "bf16"]),
        (["--compile", "reduce_overhead"], ["--compile reduce_overhead", "did you mean 'reduce-overhead'"]),
    ],
)
def test_the_error_for_an_unknown_precision_names_the_nearest(options, words, must_say):
    with pytest.raises(InputError) as caught:
        options([*RUN, "--device", "cpu", *words]).parse()
    assert all(part in str(caught.value) for part in must_say)


@pytest.mark.parametrize(("kind", "training", "testing"), [("cpu", "fp32", "fp32"), ("cuda", "tf32", "fp32")])
def test_the_default_precision_is_that_of_the_device_in_training_and_fp32_in_a_test(
    kind, training, testing, tmp_path, monkeypatch
):
    monkeypatch.setattr(device, "resolve", lambda *flags: (torch.device(kind), []))
    options, opt = train(tmp_path)
    options.save()
    assert opt.precision == training
    assert test(tmp_path).precision == testing
    assert train(tmp_path)[1].compile == test(tmp_path).compile == "none"


def test_a_continued_run_restores_the_flags_and_a_test_does_not(tmp_path):
    options, opt = train(tmp_path, "--precision", "bf16", "--compile", "default")
    options.save()
    assert (opt.precision, opt.compile) == ("bf16", "default")
    again = train(tmp_path, "--continue_train")[1]
    assert (again.precision, again.compile) == ("bf16", "default")
    assert train(tmp_path, "--continue_train", "--precision", "fp32")[1].precision == "fp32"
    assert (test(tmp_path).precision, test(tmp_path).compile) == ("fp32", "none")
    assert test(tmp_path, "--precision", "bf16").precision == "bf16"


def test_every_value_of_precision_and_compile_is_implemented():
    assert set(precision.HALVES) < set(checks.PRECISIONS)
    assert set(compiling.REPLAYING) < set(checks.COMPILING)
    assert compiling.BLOCKS in checks.COMPILING
    for word in checks.COMPILING[1:]:
        assert isinstance(compiling.settings(word, torch.device("cpu"))["options"], dict)
