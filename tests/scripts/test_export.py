"""scripts/export.py: a file is kept only if its results equal those of the network."""

import itertools
import json
import re

import numpy as np
import pytest
import torch
from runs import CUT, CYCLE_GAN, STARGAN, make_run

from metamer import load
from models.architectures.layers import pad_to_multiple
from models.program import pad_by_index
from scripts import export
from util.errors import InputError


def images(*size, seed=0):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("multiple", [4, 128])
def test_padding_by_indices_is_that_of_the_generators(multiple):
    for size in itertools.product((5, 8, 30, 64, 70, 129), (9, 63, 128, 200)):
        picture = images(1, 2, *size)
        assert torch.equal(pad_by_index(picture, multiple), pad_to_multiple(picture, multiple))


SIZES = ((1, 3, 64, 64), (3, 3, 37, 50), (2, 3, 13, 70))
RESNET_BATCH_NORM = ("--model", "pix2pix", "--netG", "resnet_4blocks", "--norm", "batch")
UNET = ("--model", "pix2pix", "--netG", "unet_128", "--norm", "batch", "--no_dropout")


@pytest.mark.parametrize(
    "words",
    [CUT, pytest.param(UNET, marks=pytest.mark.slow), pytest.param(CYCLE_GAN, marks=pytest.mark.slow)],
    ids=["cut", "unet", "cycle_gan"],
)
def test_a_torch_export_program_gives_the_results_of_the_call(tmp_path, words, capsys):
    run = make_run(tmp_path, *words)
    file = tmp_path / "made" / "run.pt2"
    export.main([str(run), "--format", "torch_export", "--output", str(file)])
    assert "at most 0.001 is accepted" in capsys.readouterr().out
    program, call = torch.export.load(file).module(), load(run, device="cpu")
    for size in SIZES:
        assert torch.allclose(program(images(*size)), call(images(*size)), atol=1e-5)
    described = json.loads((tmp_path / "made" / "run.pt2.json").read_text())
    assert described["any_size"] and described["any_batch"] and described["largest_difference"] < 1e-3
    assert described["stride"] == (128 if "unet_128" in words else 4)


@pytest.mark.slow
def test_an_onnx_file_runs_in_onnxruntime_at_other_sizes(tmp_path):
    run = make_run(tmp_path, *CUT)
    program = onnx_session(run, tmp_path / "run.onnx")
    for size in SIZES:
        assert np.allclose(program(images(*size).numpy()), load(run, device="cpu")(images(*size)), atol=1e-3)


def onnx_session(run, path, *words):
    onnxruntime = pytest.importorskip("onnxruntime")
    export.main([str(run), "--format", "onnx", "--output", str(path), *words])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda values: session.run(None, {"images": values})[0]


def test_with_processing_a_program_takes_and_returns_uint8_images(tmp_path):
    run = make_run(tmp_path, *CYCLE_GAN)
    program = onnx_session(run, tmp_path / "b.onnx", "--with_processing", "--direction", "BtoA")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 30, 41, 3), dtype=np.uint8)
    made, wanted = program(pixels), np.stack(load(run, direction="BtoA", device="cpu")(list(pixels)))
    assert made.dtype == np.uint8 and np.abs(made.astype(int) - wanted).max() <= 1


@pytest.mark.slow
def test_direction_exports_the_other_generator(tmp_path):
    run = make_run(tmp_path, *CYCLE_GAN)
    export.main([str(run), "--format", "torch_export", "--direction", "BtoA", "--output", str(tmp_path / "b.pt2")])
    program = torch.export.load(tmp_path / "b.pt2").module()
    back, there = (load(run, direction=direction, device="cpu")(images(1, 3, 32, 32)) for direction in ("BtoA", "AtoB"))
    assert torch.allclose(program(images(1, 3, 32, 32)), back, atol=1e-5)
    assert not torch.allclose(back, there, atol=1e-2)


def test_averaged_weights_are_exported_if_the_run_has_them(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    run = make_run(tmp_path, *CUT)
    averaged = {key: value * 1.5 for key, value in torch.load(run / "latest_net_G.pth").items()}
    torch.save(averaged, run / "latest_net_G_ema.pth")
    export.main([str(run), "--format", "safetensors", "--output", str(tmp_path / "run.safetensors")])
    tensors = safetensors.load_file(tmp_path / "run.safetensors")
    assert all(torch.equal(tensors[f"G.{key}"], value) for key, value in averaged.items())


def test_weights_are_exported_as_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    run = make_run(tmp_path, *CUT)
    export.main([str(run), "--format", "safetensors", "--output", str(tmp_path / "run.safetensors")])
    tensors = safetensors.load_file(tmp_path / "run.safetensors")
    state = torch.load(run / "latest_net_G.pth")
    assert tensors.keys() == {f"G.{key}" for key in state}
    assert all(torch.equal(tensors[f"G.{key}"], value) for key, value in state.items())


@pytest.mark.slow
def test_batch_norm_uses_statistics_of_each_image_and_dropout_is_off(tmp_path, capsys):
    run = make_run(tmp_path, *RESNET_BATCH_NORM)
    export.main([str(run), "--format", "torch_export", "--output", str(tmp_path / "run.pt2")])
    assert "dropout is off" in capsys.readouterr().err
    call = load(run, device="cpu")
    for part in call.model.netG.modules():
        part.train(not isinstance(part, torch.nn.Dropout))
    program, both = torch.export.load(tmp_path / "run.pt2").module(), images(2, 3, 32, 40)
    assert torch.allclose(program(both), call(both), atol=1e-5)
    assert torch.allclose(program(both)[1:], program(both[1:]), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["Male", pytest.param("Male=1+Young=0", marks=pytest.mark.slow)])
def test_a_target_of_stargan_is_built_in(tmp_path, target):
    run = make_run(
        tmp_path, *STARGAN, "--image_size", "64", "--d_conv_dim", "4", small=("--dataroot", ".", "--device", "cpu")
    )
    export.main([str(run), "--format", "torch_export", "--output", str(tmp_path / "run.pt2"), "--target", target])
    program = torch.export.load(tmp_path / "run.pt2").module()
    for size in ((2, 3, 64, 64), (1, 3, 37, 90)):  # the target Male keeps Young, which the discriminator predicts
        assert torch.allclose(program(images(*size)), load(run, device="cpu")(images(*size), target=target), atol=1e-5)


@pytest.mark.parametrize("kind", ["torch_export", pytest.param("onnx", marks=pytest.mark.slow)])
def test_without_a_target_labels_are_the_second_input_of_a_program_of_stargan(tmp_path, kind, capsys):
    run = make_run(
        tmp_path, *STARGAN, "--d_conv_dim", "4", "--g_repeat_num", "1", small=("--dataroot", ".", "--device", "cpu")
    )
    file = tmp_path / "run.bin"
    export.main([str(run), "--format", kind, "--output", str(file)])
    assert "labels (N, 2), which are Male, Young" in capsys.readouterr().out
    assert json.loads((tmp_path / "run.bin.json").read_text())["label_names"] == ["Male", "Young"]
    if kind == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

        def program(images, labels):
            return torch.from_numpy(session.run(None, {"images": images.numpy(), "labels": labels.numpy()})[0])
    else:
        program = torch.export.load(file).module()
    call = load(run, device="cpu")
    both = program(images(2, 3, 37, 50), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    wanted = [call(images(2, 3, 37, 50)[k], target={"Male": 1 - k, "Young": k}) for k in (0, 1)]
    assert torch.allclose(both, torch.stack(wanted), atol=1e-5)
    assert not torch.allclose(both[0], call(images(2, 3, 37, 50)[0], target={"Male": 0, "Young": 1}), atol=1e-3)


def test_the_card_names_data_options_metrics_and_limits_and_keeps_a_licence(tmp_path):
    run = make_run(tmp_path, *CUT, "--dataroot", "/data/horses")
    line = {"images_seen": 400, "epoch": 2, "metrics": {"l1": {"value": 0.25}}}
    (run / "metrics.jsonl").write_text(json.dumps({**line, "images_seen": 200}) + "\n" + json.dumps(line) + "\n")
    out, card = tmp_path / "run.safetensors", tmp_path / "MODEL_CARD.md"
    export.main([str(run), "--format", "safetensors", "--output", str(out)])
    text = card.read_text()
    for part in ("license: unknown", "- folder: horses", "- model: cut", "After 400 images", "- l1: 0.25", "## Limits"):
        assert part in text
    card.write_text(re.sub("license:.*", "license: mit", text))
    export.main([str(run), "--format", "safetensors", "--output", str(out)])
    assert "license: mit" in card.read_text()
    before = card.read_text()
    export.main([str(run), "--format", "safetensors", "--output", str(tmp_path / "other.safetensors")])
    assert (
        card.read_text() == before and "other.safetensors" in (tmp_path / "other.safetensors.MODEL_CARD.md").read_text()
    )


def test_no_file_is_kept_if_results_differ(tmp_path, monkeypatch):
    run = make_run(tmp_path, *CUT)
    monkeypatch.setattr(export, "write_torch_export", lambda program, path, names: lambda images: images * 0)
    with pytest.raises(InputError, match="no file was kept"):
        export.main([str(run), "--format", "torch_export", "--output", str(tmp_path / "run.pt2")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize(
    ("words", "said"), [(["--format", "tf"], "choose onnx"), ([], "--output"), (["--epoch", "7"], "7_net_G.pth")]
)
def test_wrong_arguments_are_refused(tmp_path, words, said):
    run = make_run(tmp_path, *CUT)
    output = ["--output", str(tmp_path / "x")] if "--epoch" in words else []
    with pytest.raises(InputError, match=said):
        export.main([str(run), *words, *output])


def test_an_output_folder_that_cannot_be_made_is_one_error(tmp_path):
    run = make_run(tmp_path, *CUT)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"^--output .*/file: this is a file; give a folder"):
        export.main([str(run), "--format", "onnx", "--output", str(tmp_path / "file" / "x.onnx")])


def test_the_error_for_a_missing_package_precedes_any_file(tmp_path, monkeypatch):
    monkeypatch.setitem(export.NEEDS, "onnx", ("no_such_package",))
    with pytest.raises(InputError, match="pip install no_such_package"):
        export.main(["nowhere", "--output", str(tmp_path / "x.onnx")])
