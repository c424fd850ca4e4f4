"""A whole run on disk. ``<tag>_state.pth`` continues it bit for bit; ``<tag>_manifest.json`` proves the files whole.

The familiar ``<tag>_net_<name>.pth`` beside them are exports, for test.py, for people and for other programs. A state
holds tensors and plain values only: networks, optimizers, schedules, image pools, and the run's position.
"""

import contextlib
import glob
import os
import shutil
import sys
import tempfile
from typing import NamedTuple

import torch
from torch.utils._pytree import tree_map

from util.errors import InputError
from util.files import UNFINISHED, cannot_write, free_bytes, fsync_file, fsync_folder, replacing
from util.processes import distributed
from util.run import folder as run_folder
from util.run import manifest, weights
from util.run.model_state import load_model_state, load_own_state, model_state, own_state

FORMAT = 1


class Found(NamedTuple):
    """A state file in a run's folder."""

    tag: str
    path: str
    total_iters: int  # images seen when it was written; -1 where it can't be read


def find(folder, tag=None):
    """The state files of a run, newest first; only that of `tag` if one is given."""
    paths = glob.glob(os.path.join(glob.escape(folder), f"{glob.escape(tag) if tag else '*'}_state.pth"))
    found = []
    for path in paths:
        name = os.path.basename(path).removesuffix("_state.pth")
        found.append(Found(name, path, _position(path)))
    return sorted(found, key=_age, reverse=True)


def _age(found):
    """Sorts the unreadable as the newest: whoever looks for a whole one meets and names them first."""
    return found.total_iters < 0, found.total_iters, found.tag == "latest", os.path.getmtime(found.path)


def _position(path):
    """From the state itself: its manifest may be older than it is, or lost. Mapped, so that no tensor is read."""
    try:
        position = weights.read_plain(path, mmap=True)["progress"]["total_iters"]
        return position if isinstance(position, int) else -1
    except (InputError, KeyError, TypeError, IndexError, RuntimeError):
        return -1


class Checkpoint:
    """Saves and resumes what belongs to a run: ``Checkpoint(opt, model, progress)``, and the losses not printed yet.

    In a run of many processes all of them call its methods; the first reads and writes. Each keeps in the state what
    is its own (pools, running statistics): as many processes go on bit for bit, others start with the same weights.
    """

    def __init__(self, opt, model, progress, averages=None):
        self.opt, self.model, self.progress, self.averages = opt, model, progress, averages
        self.folder = os.path.join(opt.checkpoints_dir, opt.name)
        self._processes = []  # what each process of several has for itself
        self._written = None  # (position, path, proof) of the last state, to be copied instead of made twice

    def begin(self):
        """Before the first step: resume, or clear the folder of another run's checkpoints (--overwrite)."""
        if not self.opt.continue_train:
            distributed.on_rank0(self._clear)
        elif not self.opt.pretrained_name and not self.resume():
            # A state, but of another --epoch: setup() left the weights to us.
            if distributed.on_rank0(lambda: bool(find(self.folder))):
                self.model.load_networks(weights.tag_of(self.opt))
            print("continuing from weights alone: optimizers, schedule and counters start anew (see --epoch_count)")

    def _clear(self):
        old = run_folder.checkpoints(self.folder)
        if old and not self.opt.overwrite:  # they came while this process was starting
            raise InputError(f"{self.folder} holds checkpoints; --continue_train goes on with them")
        for path in old:
            os.remove(path)

    def save(self, tag, must=False):
        """Write the checkpoint `tag`. If it can't be written, say so and go on training, unless it `must` be."""
        self._processes = distributed.gather_on_rank0(self._own_state()) if distributed.world_size() > 1 else []
        distributed.on_rank0(lambda: self._save_or_say(str(tag), must))
        self._processes = []  # pools are large

    def _own_state(self):
        own = {**own_state(self.model), "averages": self.averages and self.averages.state_dict()}
        return tree_map(lambda value: value.cpu() if isinstance(value, torch.Tensor) else value, own)

    def _save_or_say(self, tag, must):
        try:
            self._save(tag)
        except InputError as error:
            if must:
                raise
            print(f"warning: not saved: {error}; training goes on", file=sys.stderr)

    def _save(self, tag):
        """Everything is written beside, then moved in: exports, state, manifest. So what can't be written costs nothing
        that was there, and a crash between two moves leaves whole files, the state being the old or the new one."""
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._check_space()
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=UNFINISHED, ignore_cleanup_errors=True) as beside:
                try:
                    self._move_in(beside, self._write_beside(beside, tag), tag)
                except InputError as error:  # people know the place where it would have gone
                    raise InputError(str(error).replace(beside, self.folder)) from error
            self._forget(tag)
        except OSError as error:
            raise InputError(cannot_write(self.folder, error)) from error

    def _write_beside(self, beside, tag):
        """The checkpoint in a folder of its own; returns the names of its files, the manifest last."""
        with _saving_to(self.model, beside), weights.torch_writes():
            self.model.save_networks(tag)
        state = os.path.join(beside, f"{tag}_state.pth")
        sums = {os.path.basename(path): manifest.proof(path) for path in self._exports(beside, tag)}
        sums[os.path.basename(state)] = self._write_state(state)
        manifest.write_manifest(beside, tag, sums, self.progress.total_iters)
        return [name for name in (*sums, f"{tag}_manifest.json") if os.path.exists(os.path.join(beside, name))]

    def _exports(self, beside, tag):
        """The exports just written; a plug-in that saves in its own way may have put them where they belong."""
        places = glob.glob(f"{glob.escape(beside)}/{glob.escape(tag)}_net_*")
        return sorted(places or glob.glob(f"{glob.escape(self.folder)}/{glob.escape(tag)}_net_*"))

    def _move_in(self, beside, names, tag):
        for name in names:
            fsync_file(os.path.join(beside, name))
        for name in names:
            os.replace(os.path.join(beside, name), os.path.join(self.folder, name))
        fsync_folder(self.folder)
        self._written = (*self._written[:1], os.path.join(self.folder, f"{tag}_state.pth"), *self._written[2:])

    def resume(self):
        """Load the newest whole state; False if there is none at all. Damaged ones are named and passed over."""
        path, state = distributed.on_rank0(self._newest)
        if path is None:
            return False
        try:
            load_model_state(self.model, state["model"], path)
            self.progress.load_state_dict(state["progress"])
            self._load_own(state)
        except InputError as error:
            raise distributed.raised_once(error) from None
        except Exception as error:  # whole, but made by something else than this program
            raise InputError(f"{path}: not the state of such a run ({error!r})") from None
        print(f"resumed from {path}: {self.progress}")
        return True

    def _newest(self):
        """(path, state) of the newest whole state, or (None, None)."""
        wanted = None if self.opt.epoch == "latest" and not self.opt.load_iter else weights.tag_of(self.opt)
        states = find(self.folder, wanted)
        for found in states:
            trouble = damage(self.folder, found)
            if not trouble:
                return found.path, read_state(found.path)
            print(f"{found.path}: {trouble}; looking for an older one")
        if states:
            raise InputError(
                f"{self.folder}: no state in it is whole, so the run can't be continued exactly; move the "
                "*_state.pth away to go on from the weights alone"
            )
        return None, None

    def _load_own(self, state):
        """What this process had for itself; one that is new takes an older one's pools."""
        saved = state.get("processes") or [{"averages": state.get("averages")}]
        own = saved[distributed.rank() % len(saved)]
        if "pools" in own:
            load_own_state(self.model, own)
        if len(saved) != distributed.world_size():
            print(f"saved by {len(saved)} processes, continued by {distributed.world_size()}")
        elif self.averages is not None and own["averages"]:
            self.averages.load_state_dict(own["averages"])

    def _write_state(self, path):
        """Returns its proof. Two tags at one position hold the same: the second is a copy, if it proves the same."""
        position = self.progress.total_iters, str(self.progress.state_dict())
        if self._written and self._written[0] == position:
            with contextlib.suppress(OSError):  # no link: one is the other's spare
                shutil.copyfile(self._written[1], path)
                if manifest.proof(path) == self._written[2]:
                    return self._written[2]
        state = {"format": FORMAT, "model": model_state(self.model), "progress": self.progress.state_dict()}
        if self._processes:
            state["processes"] = self._processes
        elif self.averages is not None:
            state["averages"] = self.averages.state_dict()
        with replacing(path, _bytes(state)) as file:
            weights.write_tensors(state, file)
        self._written = position, path, manifest.proof(path)
        return self._written[2]

    def _check_space(self):
        """Before anything is written: is there room for the exports and the state?"""
        state = model_state(self.model)
        needed = _bytes(state) + _bytes(state["networks"])
        if shutil.disk_usage(self.folder).free < needed:
            raise InputError(f"{self.folder}: a checkpoint needs {needed:,} bytes and {free_bytes(self.folder)}")

    def _forget(self, tag):
        """States are kept for latest and the newest epoch or iteration; --keep_last prunes exports of older epochs.

        Where a run was taken back to an earlier epoch, the states of its abandoned later part go.
        """
        for found in find(self.folder):
            past = found.total_iters > self.progress.total_iters
            if past or (found.tag not in ("latest", tag) and tag != "latest"):
                os.remove(found.path)
        epochs = sorted({int(n) for n in map(_epoch_of, os.listdir(self.folder)) if n is not None}, reverse=True)
        if self.opt.keep_last and tag.isdigit():
            for number in [n for n in epochs if n <= int(tag)][self.opt.keep_last :]:
                for path in glob.glob(os.path.join(glob.escape(self.folder), f"{number}_net_*.pth")):
                    _remove(path)
                _remove(os.path.join(self.folder, f"{number}_manifest.json"))


@contextlib.contextmanager
def _saving_to(model, folder):
    """The model saves its networks there while the block runs."""
    before = model.save_dir
    model.save_dir = type(before)(folder)
    try:
        yield
    finally:
        model.save_dir = before


def read_state(path):
    state = weights.read_plain(path)
    try:
        newer = int(state["format"]) > FORMAT
    except (TypeError, KeyError, ValueError, IndexError, OverflowError, RuntimeError):
        raise InputError(f"{path}: not the state of a run") from None
    if newer:
        raise InputError(f"{path}: written by a newer version of this program; update to use it")
    return state


def damage(folder, found):
    """What is wrong with a state file of that folder, or None."""
    path = os.path.join(folder, os.path.basename(found.path))
    return None if manifest.as_listed(path, found.tag) else weights.unreadable(path)


def _bytes(value):
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(value))


def _tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _epoch_of(name):
    head = name.split("_net_")[0].removesuffix("_state.pth")
    return head if head.isdigit() and head != name else None


def _remove(path):
    if os.path.exists(path):
        os.remove(path)
