"""Batches that are fetched ahead for a GPU, on a stand-in for CUDA's streams that keeps a log. No GPU computes here."""

import contextlib
from argparse import Namespace

import pytest
import torch

from data.loading.loader import CustomDatasetDataLoader, fetched_ahead

DEVICE = torch.device("cuda", 0)


class Cuda:
    """Streams and events of torch.cuda, which write what is done, and on which stream, into ``log``."""

    def __init__(self, monkeypatch):
        self.log, self.main, self.active = [], "main", "main"
        for name in ("Stream", "Event", "stream", "current_stream"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def Stream(self, device):
        assert device == DEVICE
        return "copies"

    def current_stream(self, device):
        assert device == DEVICE
        return Current(self, self.active)

    @contextlib.contextmanager
    def stream(self, stream):
        before, self.active = self.active, stream
        yield
        self.active = before

    def Event(self):
        return Event(self)


class Event:
    def __init__(self, cuda):
        self.cuda, self.after = cuda, None

    def record(self, stream):
        """The event stands for the copies that have been started on the stream so far."""
        self.after = [entry for entry in self.cuda.log if entry[0] == "copied" and entry[1] == stream]


class Current:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def wait_event(self, event):
        self.cuda.log.append(("waited", self.name, [number for _, _, number in event.after]))


class Picture(torch.Tensor):
    """A tensor whose copy to the device is written into the log."""

    def to(self, device, non_blocking=False):
        assert device == DEVICE
        assert non_blocking, "a blocking copy stops the host"
        self.cuda.log.append(("copied", self.cuda.active, self.number))
        copy = picture(self.cuda, self.number)
        copy.on_device = True
        return copy

    def record_stream(self, stream):
        assert self.on_device
        self.cuda.log.append(("kept for", stream.name, self.number))


def picture(cuda, number):
    made = torch.zeros(1, 3, 2, 2).as_subclass(Picture)
    made.cuda, made.number, made.on_device = cuda, number, False
    return made


def batches(cuda, count):
    return [
        {"A": picture(cuda, number), "label": torch.tensor([number]), "A_paths": [f"{number}.png"]}
        for number in range(count)
    ]


def test_the_next_batch_is_copied_before_a_batch_is_used(monkeypatch):
    cuda = Cuda(monkeypatch)
    used = []
    for batch in fetched_ahead(iter(batches(cuda, 3)), DEVICE):
        cuda.log.append(("used", cuda.active, batch["A"].number))
        used.append(batch)
        assert batch["A"].on_device
        assert batch["label"].tolist() == [batch["A"].number]
        assert batch["label"].device.type == "cpu"
        assert batch["A_paths"] == [f"{batch['A'].number}.png"]
    assert len(used) == 3
    assert cuda.log == [
        ("copied", "copies", 0),
        ("copied", "copies", 1),
        # The step's stream waits for the copies up to those of its batch, not for those of the next; and the batch's
        # memory stays taken until that stream is done with it.
        *(("waited", "main", [0]), ("kept for", "main", 0), ("used", "main", 0)),
        ("copied", "copies", 2),
        *(("waited", "main", [0, 1]), ("kept for", "main", 1), ("used", "main", 1)),
        *(("waited", "main", [0, 1, 2]), ("kept for", "main", 2), ("used", "main", 2)),
    ]
    assert cuda.active == "main"


def test_no_batch_and_batches_of_other_types_pass(monkeypatch):
    Cuda(monkeypatch)
    assert list(fetched_ahead(iter([]), DEVICE)) == []
    assert list(fetched_ahead(iter([[1], [2]]), DEVICE)) == [[1], [2]]


def test_on_a_cpu_no_stream_is_made(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Stream", None)
    first = {"A": torch.zeros(1, 3, 2, 2)}
    assert next(fetched_ahead(iter([first]), torch.device("cpu"))) is first


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda:0", True)])
def test_batches_for_a_gpu_are_pinned(device, pinned, monkeypatch):
    """A copy from other memory would stop the host."""

    class Items(list):
        def __init__(self, opt):
            super().__init__(range(4))

    monkeypatch.setattr("data.loading.loader.find_dataset_using_name", lambda name: Items)
    usual = {"dataset_mode": "items", "dataroot": "none", "batch_size": 2, "num_threads": 0, "seed": 0}
    usual |= {"serial_batches": True, "drop_last": False, "isTrain": True, "max_dataset_size": float("inf")}
    loader = CustomDatasetDataLoader(Namespace(**usual, accumulate=1, device=torch.device(device)))
    assert loader.dataloader.pin_memory is pinned
