"""The peak of memory that benchmarks/memory.py counts, against cases that are known by hand."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # behind the project

import fake_cuda
import memory
from workload import Setting

MIB = 2**20
SMALL = ["--netG", "resnet_4blocks", "--pool_size", "0", "--ngf", "8", "--ndf", "4"]


def mebibyte(number=1):
    """A tensor of so many MiB on the device."""
    return torch.empty(number, MIB // 4, device=fake_cuda.DEVICE)


def test_a_chain_of_operations_and_its_backward_pass():
    with fake_cuda.fake_cuda(), memory.LiveBytes() as live:
        weight = mebibyte(4).requires_grad_()
        assert live.now == 4 * MIB
        doubled = weight * 2  # a product with a number: autograd keeps no tensor
        result = doubled.exp()  # autograd keeps the result
        assert live.now == live.peak == 12 * MIB
        del doubled
        assert live.now == 8 * MIB
        loss = result.sum()
        del result
        loss.backward()
        # The largest moment: weight, result, the gradient of the exponent's input; the one of `loss` is a number.
        assert live.peak == 12 * MIB + 2 * memory.BLOCK
        del loss
        assert live.now == 8 * MIB  # weight and its gradient


def test_views_and_results_in_place_take_no_memory():
    with fake_cuda.fake_cuda(), memory.LiveBytes() as live:
        tensor = mebibyte(2)
        view = tensor[1:].view(2, -1)
        tensor.relu_()
        view += 1
        assert live.peak == 2 * MIB
        del tensor
        assert live.now == 2 * MIB
        del view
        assert live.now == 0


def test_blocks_are_rounded_and_the_host_is_not_counted():
    with fake_cuda.fake_cuda(), memory.LiveBytes() as live:
        kept = [torch.empty(1, device=fake_cuda.DEVICE), torch.empty(129, device=fake_cuda.DEVICE), torch.empty(5)]
        assert live.now == (1 + 2) * memory.BLOCK
        assert kept


@pytest.mark.slow
def test_between_steps_a_model_holds_weights_gradients_and_moments():
    """A U-Net of pix2pix, whose images are small beside its weights."""
    setting = Setting.parse("pix2pix@256")
    words = ["--ngf", "8", "--ndf", "4"]
    numbers = weights_of(setting, words)
    held = memory.count(setting, words)["held"]
    assert 16 * numbers <= held < 16 * numbers + 8 * MIB  # weight, gradient and two moments in float32


def weights_of(setting, words):
    import workload

    model = workload.Training(setting, words, "cpu").model
    return sum(parameter.numel() for net in model.networks_by_name().values() for parameter in net.parameters())


@pytest.mark.slow
def test_flags_that_save_memory_save_it_and_the_batch_costs():
    def peak(*words, setting="cycle_gan@64"):
        return memory.count(Setting.parse(setting), [*SMALL, *words])["peak"]

    plain = peak()
    assert peak("--precision", "bf16") < 0.8 * plain
    assert peak("--grad_checkpoint") < 0.8 * plain
    four = peak(setting="cycle_gan@64x4")
    assert four > 2 * plain
    parts = peak("--batch_size", "1", "--accumulate", "4", setting="cycle_gan@64x4")
    assert parts < 0.6 * four


@pytest.mark.slow
def test_full_pools_are_part_of_it():
    setting = Setting.parse("cycle_gan@64")
    empty, full = (memory.count(setting, [*SMALL, "--pool_size", size])["held"] for size in ("0", "50"))
    assert full - empty == 2 * 50 * 3 * 64 * 64 * 4


def test_cards_get_the_first_setting_that_fits():
    assert memory.fits(6.3 * memory.GIB, 8)
    assert not memory.fits(6.5 * memory.GIB, 8)
    rows = [
        {"model": "a", "size": 256, "batch": 1, "variant": name, "error": None, "peak": peak * memory.GIB}
        for name, peak in (("tf32", 20), ("bf16", 6), ("both", 3))
    ]
    assert memory.cards_of(rows) == {"a@256": {8: "bf16", 16: "bf16", 24: "tf32", 80: "tf32"}}


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    path = tmp_path / "found.json"
    variants = ["--variant", "plain=", "--variant", "wrong=--accumulat 2"]
    memory.main(["--json", str(path), "--models", "cycle_gan@32", *variants, *SMALL])
    plain, wrong = json.loads(path.read_text())["rows"]
    assert plain["peak"] > plain["held"] > 1000
    assert "--accumulat" in wrong["error"]
    printed = capsys.readouterr().out
    assert f"{plain['peak'] / memory.GIB:.2f}" in printed
    assert "8 GB" in printed


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cut", "dclgan", "simdcl", "stargan", "pix2pix", "fastcut"])
def test_every_model_is_counted_in_bf16(model):
    narrow = ["--g_conv_dim", "4", "--d_conv_dim", "4"] if model == "stargan" else ["--ngf", "4", "--ndf", "4"]
    size = 256 if model == "pix2pix" else 64
    plain, half = (memory.count(Setting(model, size, 1), [*narrow, *words]) for words in ([], ["--precision", "bf16"]))
    # pix2pix has large weights and small maps here: copies of weights in bf16 take more than the maps save.
    assert 0 < half["peak"] < plain["peak"] * (1.1 if model == "pix2pix" else 1)
