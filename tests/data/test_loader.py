import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from data_help import make_opt, picture, save, save_tree

from data import create_dataset
from data.base_dataset import BaseDataset
from data.loading.loader import CustomDatasetDataLoader
from util.errors import InputError
from util.numerics import seeding

ROOT = Path(__file__).parents[2]


class Numbers(BaseDataset):
    """Returns with each item its index, epoch, random numbers of all generators, and the process that made it."""

    length = 10

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        draws = [random.random(), np.random.rand(), torch.rand(1).item()]
        return {"A": index, "epoch": self.current_epoch, "draws": torch.tensor(draws), "pid": os.getpid()}


class OldStyle(torch.utils.data.Dataset):
    """A dataset that does not call BaseDataset.__init__ and does not use epochs."""

    def __init__(self, opt):
        self.options = opt

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"A": index}


class Drawn(Numbers):
    """Draws random numbers when it is created."""

    def __init__(self, opt):
        super().__init__(opt)
        self.drawn = [random.random(), np.random.rand(), torch.rand(1).item()]


class Refusing(Numbers):
    def __getitem__(self, index):
        if index == 2:
            raise InputError("the third is no good")
        return {"A": index}


class Faulty(Numbers):
    def __getitem__(self, index):
        raise KeyError("a fault of the data set")


class Ragged(Numbers):
    def __getitem__(self, index):
        return {"A": torch.zeros(3, 4 + index, 5), "A_paths": f"{index}.png"}


class Process(Numbers):
    def __getitem__(self, index):
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
        ignored = all(handler is signal.SIG_IGN for handler in handlers)
        return {"A": index, "pid": os.getpid(), "ignored": ignored, "threads": torch.get_num_threads()}


@pytest.fixture
def loader(monkeypatch, tmp_path):
    """loader(Class, **options): the loader of a dataset without files."""

    def make(dataset, **fields):
        monkeypatch.setattr("data.loading.loader.find_dataset_using_name", lambda name: dataset)
        return CustomDatasetDataLoader(make_opt(tmp_path, **fields))

    return make


@pytest.fixture
def spawn():
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def visits(loader, epoch=1):
    loader.set_epoch(epoch)
    return [index for batch in loader for index in batch["A"].tolist()]


def draws(loader, epochs):
    rows = []
    for epoch in epochs:
        loader.set_epoch(epoch)
        rows += [torch.cat([batch["A"].unsqueeze(1), batch["draws"].double()], dim=1) for batch in loader]
    return torch.cat(rows)


# order


def test_every_epoch_has_its_own_order_that_the_seed_decides(loader):
    first, again, other = loader(Numbers, seed=1), loader(Numbers, seed=1), loader(Numbers, seed=2)
    assert visits(first, 1) == visits(again, 1) == seeding.order(1, 1, 10)
    assert visits(first, 1) != visits(first, 2) == visits(again, 2)
    assert visits(first, 1) != visits(other, 1)
    assert sorted(visits(first, 3)) == list(range(10))


def test_serial_batches_keep_the_order_of_the_data_set(loader):
    assert visits(loader(Numbers, serial_batches=True), 5) == list(range(10))


@pytest.mark.filterwarnings("error:This DataLoader will create")
def test_more_workers_than_cores_give_no_warning(loader, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert visits(loader(Numbers, num_threads=2, serial_batches=True)) == list(range(10))


@pytest.mark.parametrize("threads", [0, 2])
def test_skip_shortens_only_the_next_iteration(loader, threads):
    batches = loader(Numbers, batch_size=3, num_threads=threads)
    whole = visits(batches)
    batches.skip(2)
    assert visits(batches) == whole[6:]
    assert visits(batches) == whole
    batches.skip(4)
    assert visits(batches) == []


def test_samples_after_a_skip_are_the_same(loader):
    batches = loader(Numbers, batch_size=2)
    whole = draws(batches, [1])
    batches.skip(3)
    assert torch.equal(draws(batches, [1]), whole[6:])


@pytest.mark.parametrize(
    "batch_size, cap, seen", [(1, 4, 4), (3, 4, 6), (3, 3, 3), (4, 100, 10), (3, float("inf"), 10)]
)
def test_max_dataset_size_is_checked_between_batches(loader, batch_size, cap, seen):
    batches = loader(Numbers, batch_size=batch_size, max_dataset_size=cap)
    assert len(visits(batches)) == seen
    assert len(batches) == min(10, cap)
    assert len(batches.dataloader) == -(-seen // batch_size)


def test_drop_last(loader):
    assert [len(batch["A"]) for batch in loader(Numbers, batch_size=4)] == [4, 4, 2]
    assert [len(batch["A"]) for batch in loader(Numbers, batch_size=4, drop_last=True)] == [4, 4]
    assert len(visits(loader(Numbers, batch_size=4, drop_last=True, max_dataset_size=3))) == 4
    with pytest.raises(InputError, match="10 images don't fill a batch; reduce --batch_size 11"):
        loader(Numbers, batch_size=11, drop_last=True)


def test_an_empty_data_set_is_refused(loader, monkeypatch):
    monkeypatch.setattr(Numbers, "length", 0)
    with pytest.raises(InputError, match="Numbers finds no images in it"):
        loader(Numbers)


# the same pictures


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_workers_changes_no_batch(loader, threads):
    alone = draws(loader(Numbers, batch_size=3), [1, 2])
    assert torch.equal(draws(loader(Numbers, batch_size=3, num_threads=threads), [1, 2]), alone)


def test_a_sample_depends_on_seed_epoch_and_index_only(loader):
    shuffled, serial = draws(loader(Numbers), [3]), draws(loader(Numbers, serial_batches=True, batch_size=5), [3])
    assert torch.equal(shuffled[shuffled[:, 0].argsort()], serial)
    assert not torch.equal(draws(loader(Numbers), [4])[:, 1:].sort()[0], shuffled[:, 1:].sort()[0])


@pytest.mark.parametrize("mode", ["unaligned", "aligned"])
def test_workers_decode_the_same_pixels(tmp_path, mode):
    root = save_tree(tmp_path, trainA=5, trainB=7, train=5)
    options = {"dataset_mode": mode, "batch_size": 2}
    alone = list(create_dataset(make_opt(root, **options)))
    shared = list(create_dataset(make_opt(root, **options, num_threads=2)))
    assert len(alone) == len(shared) > 2
    for one, two in zip(alone, shared):
        assert torch.equal(one["A"], two["A"]) and torch.equal(one["B"], two["B"])
        assert one["A_paths"] == two["A_paths"] and one["B_paths"] == two["B_paths"]


def test_spawned_workers_give_the_same_samples_and_get_no_dashboard(tmp_path, spawn):
    root = save_tree(tmp_path, trainA=3, trainB=3)
    alone = [batch["B"] for batch in create_dataset(make_opt(root))]
    opt = make_opt(root, num_threads=1)
    batches = create_dataset(opt)
    opt.visualizer = threading.Lock()  # as train.py does; an object that can't be pickled
    for _ in range(2):
        spawned = [batch["B"] for batch in batches]
        assert len(spawned) == 3 and all(torch.equal(one, two) for one, two in zip(alone, spawned))
    assert batches.dataset.opt.visualizer is opt.visualizer


def test_loading_does_not_change_the_random_numbers_of_the_training(loader):
    for threads in (1, 2):
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        list(loader(Numbers, num_threads=threads))
        assert torch.equal(torch.rand(1), expected)


# workers


def test_persistent_workers_get_the_epoch(loader):
    batches = loader(Numbers, num_threads=2)
    makers = []
    for epoch in (1, 2, 7):
        batches.set_epoch(epoch)
        items = list(batches)
        assert {item["epoch"].item() for item in items} == {epoch}
        makers.append({item["pid"].item() for item in items})
    assert makers[0] == makers[1] == makers[2] and os.getpid() not in makers[0]
    assert batches.dataset.current_epoch == 7


def test_an_unfinished_iteration_does_not_change_the_next(loader):
    batches = loader(Numbers, num_threads=2)
    whole = visits(batches, 1)
    batches.set_epoch(2)
    next(iter(batches))
    assert visits(batches, 1) == whole


def test_workers_ignore_signals_and_use_one_thread(loader):
    for item in loader(Process, num_threads=1):
        assert item["ignored"].all() and item["threads"].item() == 1


def test_a_worker_survives_a_signal_to_the_process_group(loader):
    iterator = iter(loader(Numbers, num_threads=1))
    pid = next(iterator)["pid"].item()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(pid, number)
    assert len(list(iterator)) == 9


@pytest.mark.parametrize("threads", [0, 1])
def test_datasets_of_the_originals_work(loader, threads):
    assert sorted(visits(loader(OldStyle, num_threads=threads))) == [0, 1, 2, 3]


def test_random_numbers_in_the_constructor_of_a_dataset_depend_on_the_seed_only(monkeypatch, tmp_path):
    monkeypatch.setattr("data.loading.loader.find_dataset_using_name", lambda name: Drawn)
    first, again, other = (create_dataset(make_opt(tmp_path, seed=seed)).dataset.drawn for seed in (1, 1, 2))
    assert first == again
    assert all(number != different for number, different in zip(first, other))


@pytest.mark.parametrize("threads", [0, 2])
def test_an_InputError_in_a_worker_keeps_its_message(loader, threads):
    batches = loader(Refusing, num_threads=threads, batch_size=2, serial_batches=True)
    iterator = iter(batches)
    assert next(iterator)["A"].tolist() == [0, 1]
    with pytest.raises(InputError) as caught:
        next(iterator)
    assert str(caught.value) == "the third is no good"


def test_exceptions_of_a_dataset_keep_their_type(loader):
    with pytest.raises(KeyError, match="a fault of the data set"):
        list(loader(Faulty, num_threads=1))


@pytest.mark.parametrize("threads", [0, 1])
def test_images_of_different_sizes_in_a_batch_give_one_line(loader, threads):
    with pytest.raises(InputError) as caught:
        list(loader(Ragged, num_threads=threads, batch_size=2, serial_batches=True))
    message = str(caught.value)
    assert "A is 3x4x5 (0.png) and 3x5x5 (1.png)" in message
    assert "--batch_size 1" in message and "--preprocess" in message and "\n" not in message


def test_the_error_of_a_worker_names_the_unreadable_image(tmp_path):
    root = save_tree(tmp_path, trainA=2, trainB=2)
    path = save(root / "trainA" / "1.png", picture(90, 90))
    os.truncate(path, 300)
    with pytest.raises(InputError) as caught:
        list(create_dataset(make_opt(root, num_threads=1)))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


ENDINGS = {"held": "", "error": "raise SystemExit(3)", "between": "list(loader)"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_ends_at_once_while_workers_ignore_signals(tmp_path, ending):
    root = save_tree(tmp_path, trainA=9, trainB=9)
    script = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "data")!r}]
from data_help import make_opt
from data import create_dataset
loader = create_dataset(make_opt({str(root)!r}, num_threads=2))
iterator = iter(loader)
print(next(iterator)["A"].shape, flush=True)
{ENDINGS[ending]}
"""
    start = time.monotonic()
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == (3 if ending == "error" else 0), process.stderr
    assert "torch.Size([1, 3, 16, 16])" in process.stdout and process.stderr == ""
    assert time.monotonic() - start < 30


def test_a_worker_that_dies_while_sending_a_batch_is_reported():
    from data.loading.worker import naming_dead_workers

    class _ForkingPickler:
        @staticmethod
        def loads(content):
            raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(InputError, match="a data worker died"), naming_dead_workers():
        _ForkingPickler.loads(b"")
    with pytest.raises(ConnectionResetError), naming_dead_workers():
        raise ConnectionResetError(104, "the data set's own server is gone")
