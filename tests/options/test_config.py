"""--config: flags from a file, with lower precedence than the command line; errors as on the command line."""

import json

import pytest

from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError

YAML = """
dataroot: photos
model: cut             # flags of the model are known
nce_layers: "0,4"
--ngf: 32
lr: 1e-4
no_flip: true
max_dataset_size: null
device: cpu
"""


def parse(path, *words, options=TrainOptions):
    return options(["--config", str(path), *words]).parse()


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        parse(path, *words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def write(tmp_path):
    def write(text, name="run.yaml"):
        (tmp_path / name).write_text(text if isinstance(text, str) else json.dumps(text))
        return tmp_path / name

    return write


def test_the_command_line_takes_precedence_over_the_file(write):
    pytest.importorskip("yaml")
    opt = parse(write(YAML), "--ngf", "8")
    assert (opt.dataroot, opt.model, opt.nce_layers, opt.lr, opt.no_flip) == ("photos", "cut", "0,4", 1e-4, True)
    assert opt.ngf == 8 and opt.max_dataset_size == float("inf")


def test_json_needs_no_package_and_may_contain_lists(write, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    words = {"dataroot": "d", "model": "stargan", "selected_attrs": ["Male", "Young"], "device": "cpu"}
    opt = parse(write(words, "run.json"))
    assert (opt.selected_attrs, opt.c_dim) == (["Male", "Young"], 2)
    assert "needs the package PyYAML" in refused(write("ngf: 3"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ({"ngff": 3}, ["run.json: --ngff: no such flag here", "--ngf"]),
        ({"ngf": "many"}, ["run.json: --ngf", "'many' is not a whole number"]),
        ({"ngf": {"G": 3}}, ["run.json: ngf: give a value or a list"]),
        ({"config": "other.json"}, ["run.json: it contains the flag config"]),
        ([1], ["run.json: expected flags with values"]),
        ("{", ["run.json: not JSON"]),
    ],
)
def test_errors_in_the_file_name_its_path(write, text, parts):
    message = refused(write(text, "run.json"), "--dataroot", "d", "--device", "cpu")
    assert all(part in message for part in parts), message


def test_a_missing_file_gives_one_line(tmp_path):
    assert "nowhere.yaml: can't be read (No such file or directory)" in refused(tmp_path / "nowhere.yaml")


def test_invalid_yaml_gives_one_line(write):
    pytest.importorskip("yaml")
    assert "run.yaml: not YAML" in refused(write("a: [1"))
    assert "expected flags with values" in refused(write("just words"))


def test_the_options_of_a_run_start_another_run(tmp_path):
    places = ["--dataroot", str(tmp_path), "--device", "cpu", "--checkpoints_dir", str(tmp_path)]
    settings = ["--model", "pix2pix", "--ngf", "8", "--lr", "0.1", "--n_epochs", "3", "--scale_lr", "sqrt"]
    first = TrainOptions([*places, "--name", "first", *settings])
    first.parse()
    first.save()
    opt = parse(tmp_path / "first" / "train_opt.json", "--name", "second", "--device", "cpu", "--lr", "0.2")
    assert (opt.name, opt.model, opt.ngf, opt.lr, opt.n_epochs, opt.dataset_mode) == (
        *("second", "pix2pix", 8, 0.2, 3, "aligned"),
    )
    assert (opt.dataroot, opt.checkpoints_dir) == (str(tmp_path), "./checkpoints")


def test_a_test_reads_a_config_file(write, tmp_path):
    places = ["--dataroot", str(tmp_path), "--device", "cpu", "--checkpoints_dir", str(tmp_path)]
    first = TrainOptions([*places, "--name", "first", "--ngf", "8"])
    first.parse()
    first.save()
    opt = parse(write({"num_test": 3, "name": "first"}, "test.json"), *places, options=TestOptions)
    assert (opt.num_test, opt.ngf, opt.model) == (3, 8, "cycle_gan")
