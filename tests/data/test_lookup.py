import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from data_help import make_opt, save_tree

import data
import models
from data import flags as data_flags
from util import factory
from util.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """plug_in(name, source): a file data/<name>_dataset.py that exists during a test."""
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written = []

    def write(name, source):
        (tmp_path / f"{name}_dataset.py").write_text("from data.base_dataset import BaseDataset\n" + source)
        written.append(f"data.{name}_dataset")

    yield write
    for module in written:
        sys.modules.pop(module, None)
        vars(data).pop(module.rsplit(".")[-1], None)


CLASS = (
    "class {}(BaseDataset):\n    def __len__(self): return 3\n    def __getitem__(self, index): return {{'A': index}}\n"
)


@pytest.mark.parametrize("name", data.BUILT_IN)
def test_built_in_modes_are_found(name):
    found = data.find_dataset_using_name(name)
    assert found.__name__.lower() == name.replace("_", "") + "dataset"
    assert data.get_option_setter(name) is found.modify_commandline_options
    assert factory.takes_flags_from_table("data", name, "dataset") == (name in data_flags.BY_NAME)
    assert data.reads_plain_folders(name) == getattr(found, "reads_plain_folders", False)


def test_built_in_modes_are_the_files_of_the_folder():
    assert factory.available("data", "dataset") == sorted(data.BUILT_IN)
    assert set(models.BUILT_IN) <= set(factory.available("models", "model"))


def test_class_names_ignore_underscores_and_case_and_the_last_class_is_used(plug_in):
    plug_in("my_own", CLASS.format("MYOWNDataset") + CLASS.format("MyOwnDataset") + "Mine = MyOwnDataset\n")
    assert data.find_dataset_using_name("my_own").__name__ == "MyOwnDataset"
    assert "my_own" in factory.available("data", "dataset")


def test_objects_with_the_name_that_are_no_dataset_class_are_ignored(plug_in):
    plug_in("odd", CLASS.format("OddDataset") + "oddDataset = 3\nclass oddDATASET: pass\n")
    assert data.find_dataset_using_name("odd").__name__ == "OddDataset"


def test_the_error_for_an_unknown_name_states_file_class_choices_and_nearest_name():
    with pytest.raises(InputError) as caught:
        data.find_dataset_using_name("unalined")
    assert str(caught.value) == (
        "--dataset_mode unalined: no file data/unalined_dataset.py with a class UnalinedDataset(BaseDataset). "
        f"There are: {', '.join(sorted(data.BUILT_IN))}. did you mean 'unaligned'?"
    )


@pytest.mark.parametrize("name", ["", "base", "../aligned", "a.b", "two words", "Unaligned ", "class"])
def test_names_that_are_no_module_names_are_refused(name):
    with pytest.raises(InputError, match="There are: aligned"):
        data.find_dataset_using_name(name)


def test_the_error_distinguishes_a_missing_class_from_a_missing_file(plug_in):
    plug_in("bare", "class Something: pass\n")
    with pytest.raises(InputError, match=r"data/bare_dataset.py has no class BareDataset\(BaseDataset\)"):
        data.find_dataset_using_name("bare")


@pytest.mark.parametrize("line", ["import not_installed_anywhere", "from data import nothing_here_dataset", "1 / 0"])
def test_exceptions_inside_a_plug_in_are_not_replaced(plug_in, line):
    plug_in("faulty", line + "\n")
    with pytest.raises((ImportError, ZeroDivisionError)) as caught:
        data.find_dataset_using_name("faulty")
    assert not isinstance(caught.value, InputError)
    assert "faulty_dataset" not in str(getattr(caught.value, "name", ""))


def test_a_plug_in_dataset_works_with_the_loader(plug_in, tmp_path):
    plug_in("tiny", CLASS.format("TinyDataset"))
    loader = data.create_dataset(make_opt(tmp_path, dataset_mode="tiny", serial_batches=True))
    assert [batch["A"].tolist() for batch in loader] == [[0], [1], [2]]


DRAWING = """
import random
import numpy as np
import torch


class DrawingDataset(BaseDataset):
    def __init__(self, opt):
        BaseDataset.__init__(self, opt)
        self.drawn = random.random(), np.random.rand(), torch.rand(1).item()

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {"A": index}
"""


def test_random_numbers_in_init_depend_on_the_seed_only(plug_in, tmp_path):
    plug_in("drawing", DRAWING)

    def drawn(seed):
        return data.create_dataset(make_opt(tmp_path, dataset_mode="drawing", seed=seed)).dataset.drawn

    first = drawn(1)
    random.random(), np.random.rand(), torch.rand(1)
    assert drawn(1) == first
    assert all(one != other for one, other in zip(first, drawn(2)))


def test_create_dataset_prints_the_class(tmp_path, capsys):
    loader = data.create_dataset(make_opt(save_tree(tmp_path, trainA=1, trainB=2)))
    assert isinstance(loader, data.CustomDatasetDataLoader)
    assert capsys.readouterr().out == "dataset [UnalignedDataset] was created\n"
    assert len(loader) == 2
    with pytest.raises(AttributeError, match="nothing_else"):
        _ = data.nothing_else


def test_names_are_known_without_torch():
    script = "import sys, data, data.flags, util.factory; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
