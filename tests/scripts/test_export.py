"""scripts/export.py: a file is kept only if its results agree with the network's."""

import json

import numpy as np
import pytest
import torch
from runs import CUT, CYCLE_GAN, PIX2PIX, STARGAN, make_run

from metamer import load
from scripts import export
from util.errors import InputError


def images(*size, seed=0):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("words", [CUT, CYCLE_GAN], ids=["cut", "cycle_gan"])
def test_a_torch_program_gives_what_the_call_gives(tmp_path, words):
    run = make_run(tmp_path, *words)
    file = tmp_path / "made" / "run.pt2"
    export.main([str(run), "--format", "torch_export", "--output", str(file)])
    program = torch.export.load(file).module()
    for size in ((1, 3, 64, 64), (3, 3, 96, 32)):
        assert torch.allclose(program(images(*size)), load(run, device="cpu")(images(*size)), atol=1e-4)
    described = json.loads((tmp_path / "made" / "run.pt2.json").read_text())
    assert described["dynamic_size"] and described["multiple_of"] == 4 and described["largest_difference"] < 1e-3


def test_an_onnx_file_runs_in_onnxruntime_at_other_sizes(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    run = make_run(tmp_path, *CUT)
    export.main([str(run), "--format", "onnx", "--output", str(tmp_path / "run.onnx")])
    session = onnxruntime.InferenceSession(str(tmp_path / "run.onnx"), providers=["CPUExecutionProvider"])
    for size in ((1, 3, 64, 64), (2, 3, 32, 80)):
        [made] = session.run(None, {"images": images(*size).numpy()})
        assert np.allclose(made, load(run, device="cpu")(images(*size)), atol=1e-3)


def test_the_other_direction_of_a_two_sided_run(tmp_path):
    run = make_run(tmp_path, *CYCLE_GAN)
    export.main([str(run), "--format", "torch_export", "--direction", "BtoA", "--output", str(tmp_path / "b.pt2")])
    program = torch.export.load(tmp_path / "b.pt2").module()
    back = load(run, direction="BtoA", device="cpu")
    assert torch.allclose(program(images(1, 3, 64, 64)), back(images(1, 3, 64, 64)), atol=1e-4)


def test_weights_alone(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    run = make_run(tmp_path, *CUT)
    export.main([str(run), "--format", "safetensors", "--output", str(tmp_path / "run.safetensors")])
    tensors = safetensors.load_file(tmp_path / "run.safetensors")
    state = torch.load(run / "latest_net_G.pth")
    assert tensors.keys() == {f"G.{key}" for key in state}
    assert all(torch.equal(tensors[f"G.{key}"], value) for key, value in state.items())


def test_batch_norm_uses_its_statistics_in_a_program(tmp_path, capsys):
    run = make_run(tmp_path, *PIX2PIX)
    export.main([str(run), "--format", "torch_export", "--output", str(tmp_path / "run.pt2")])
    assert "dropout is off" in capsys.readouterr().err
    described = json.loads((tmp_path / "run.pt2.json").read_text())
    assert described["multiple_of"] == 128


def test_stargan_needs_a_target(tmp_path):
    run = make_run(tmp_path, *STARGAN, small=("--dataroot", ".", "--device", "cpu"))
    with pytest.raises(InputError, match="--target"):
        export.main([str(run), "--format", "torch_export", "--output", str(tmp_path / "run.pt2")])
    assert not (tmp_path / "run.pt2").exists()


def test_results_that_differ_keep_no_file(tmp_path, monkeypatch):
    run = make_run(tmp_path, *CUT)
    monkeypatch.setattr(export, "write_torch_export", lambda program, path: lambda images: images * 0)
    with pytest.raises(InputError, match="no file was kept"):
        export.main([str(run), "--format", "torch_export", "--output", str(tmp_path / "run.pt2")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize(
    ("words", "said"), [(["--format", "tf"], "choose onnx"), ([], "--output"), (["--epoch", "7"], "7_net_G.pth")]
)
def test_wrong_words(tmp_path, words, said):
    run = make_run(tmp_path, *CUT)
    output = ["--output", str(tmp_path / "x")] if "--epoch" in words else []
    with pytest.raises(InputError, match=said):
        export.main([str(run), *words, *output])


def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(export.NEEDS, "onnx", ("no_such_package",))
    with pytest.raises(InputError, match="pip install no_such_package"):
        export.main(["nowhere", "--output", str(tmp_path / "x.onnx")])
