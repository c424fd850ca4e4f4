"""A whole run on disk. ``<tag>_state.pth`` continues it bit for bit; ``<tag>_manifest.json`` proves the files whole.

The familiar ``<tag>_net_<name>.pth`` beside them are exports, for test.py, for people and for other programs. A state
holds tensors and plain values only: networks, optimizers, schedules, image pools, and the run's position.
"""

import glob
import hashlib
import json
import os
import shutil
import sys
import zipfile
from typing import NamedTuple

import torch

from util import checkpoint, run_folder
from util.errors import InputError
from util.files import replacing, write_text
from util.image_pool import ImagePool

FORMAT = 1


class Found(NamedTuple):
    """A state file in a run's folder."""

    tag: str
    path: str
    total_iters: int  # images seen when it was written; -1 where its manifest is missing


def find(folder, tag=None):
    """The state files of a run, newest first; only that of `tag` if one is given."""
    paths = glob.glob(os.path.join(glob.escape(folder), f"{glob.escape(tag) if tag else '*'}_state.pth"))
    found = []
    for path in paths:
        name = os.path.basename(path).removesuffix("_state.pth")
        manifest = read_manifest(folder, name) or {}
        found.append(Found(name, path, manifest.get("total_iters", -1)))
    return sorted(found, key=lambda f: (f.total_iters, f.tag == "latest", os.path.getmtime(f.path)), reverse=True)


class Checkpoint:
    """Saves and resumes what belongs to a run: ``Checkpoint(opt, model, progress)``."""

    def __init__(self, opt, model, progress):
        self.opt, self.model, self.progress = opt, model, progress
        self.folder = os.path.join(opt.checkpoints_dir, opt.name)
        self._written = None  # (position, path) of the last state, to be copied instead of made twice

    def begin(self):
        """Before the first step: resume, or clear the folder of another run's checkpoints (--overwrite)."""
        if not self.opt.continue_train:
            for path in run_folder.checkpoints(self.folder):
                os.remove(path)
        elif not self.opt.pretrained_name and not self.resume():
            print("continuing from weights alone: optimizers, schedule and counters start anew (see --epoch_count)")

    def save(self, tag, must=False):
        """Write the checkpoint `tag`. If it can't be written, say so and go on training, unless it `must` be."""
        try:
            self._save(str(tag))
        except InputError as error:
            if must:
                raise
            print(f"warning: not saved: {error}; training goes on", file=sys.stderr)

    def _save(self, tag):
        """Exports, state, manifest, in this order; each file is replaced whole, so a crash leaves the older one."""
        path = os.path.join(self.folder, f"{tag}_state.pth")
        self._check_space()
        self.model.save_networks(tag)
        self._write_state(path)
        exports = sorted(glob.glob(os.path.join(glob.escape(self.folder), f"{glob.escape(tag)}_net_*.pth")))
        write_manifest(self.folder, tag, [*exports, path], self.progress.total_iters)
        self._forget(tag)

    def resume(self):
        """Load the newest whole state; False if there is none at all. Damaged ones are named and passed over."""
        wanted = None if self.opt.epoch == "latest" and not self.opt.load_iter else checkpoint.tag_of(self.opt)
        states = find(self.folder, wanted)
        for found in states:
            trouble = damage(self.folder, found)
            if trouble:
                print(f"{found.path}: {trouble}; looking for an older one")
                continue
            state = read_state(found.path)
            load_model_state(self.model, state["model"], found.path)
            self.progress.load_state_dict(state["progress"])
            print(f"resumed from {found.path}: {self.progress}")
            return True
        if states:
            raise InputError(
                f"{self.folder}: no state in it is whole, so the run can't be continued exactly; move the "
                "*_state.pth away to go on from the weights alone"
            )
        return False

    def _write_state(self, path):
        position = self.progress.total_iters, str(self.progress.state_dict())
        if self._written and self._written[0] == position and self._written[1] != path:
            with open(self._written[1], "rb") as same, replacing(path) as file:  # no link: one is the other's spare
                shutil.copyfileobj(same, file, 1 << 22)
        else:
            state = {"format": FORMAT, "model": model_state(self.model), "progress": self.progress.state_dict()}
            with replacing(path) as file:
                checkpoint.write_tensors(state, file)
        self._written = position, path

    def _check_space(self):
        """Before anything is written: is there room for the exports and the state?"""
        os.makedirs(self.folder, exist_ok=True)
        needed = 2 * sum(t.numel() * t.element_size() for t in _tensors(model_state(self.model)))
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise InputError(f"{self.folder}: a checkpoint needs up to {needed:,} bytes and the disk has {free:,} free")

    def _forget(self, tag):
        """States are kept for latest and the newest epoch; with --keep_last, exports of older epochs go too."""
        epochs = sorted({int(n) for n in map(_epoch_of, os.listdir(self.folder)) if n is not None}, reverse=True)
        for number in epochs[1:]:
            _remove(os.path.join(self.folder, f"{number}_state.pth"))
        if self.opt.keep_last and tag != "latest":
            for number in epochs[self.opt.keep_last :]:
                for path in glob.glob(os.path.join(glob.escape(self.folder), f"{number}_net_*.pth")):
                    _remove(path)
                _remove(os.path.join(self.folder, f"{number}_manifest.json"))


def model_state(model):
    """Everything of a model that changes in training, as tensors and plain values."""
    state = {
        "networks": {name: checkpoint.unwrap(net).state_dict() for name, net in model.networks_by_name().items()},
        "optimizers": [optimizer.state_dict() for optimizer in model.optimizers],
        "schedulers": [scheduler.state_dict() for scheduler in model.schedulers],
        "pools": {name: pool.state_dict() for name, pool in vars(model).items() if isinstance(pool, ImagePool)},
    }
    if callable(getattr(model, "state_dict", None)):  # a plug-in with more to remember
        state["own"] = model.state_dict()
    return state


def load_model_state(model, state, path):
    nets = model.networks_by_name()
    if set(nets) != set(state["networks"]) or len(model.optimizers) != len(state["optimizers"]):
        raise InputError(f"{path}: made by another kind of model (its networks: {', '.join(state['networks'])})")
    for name, net in nets.items():
        checkpoint.fit(net, state["networks"][name], path)
    for optimizer, own in zip(model.optimizers, state["optimizers"]):
        load_optimizer(optimizer, own)
    for optimizer, scheduler, own in zip(model.optimizers, model.schedulers, state["schedulers"]):
        load_scheduler(scheduler, own, optimizer)
    for name, own in state["pools"].items():
        getattr(model, name).load_state_dict(own)
    if "own" in state:
        model.load_state_dict(state["own"])


def load_optimizer(optimizer, state):
    """Moments and step counts come from the state; --beta1 and the like, and the scale of the rate, from the flags."""
    fresh = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, flags in zip(optimizer.param_groups, fresh):
        scale = flags["initial_lr"] / group.get("initial_lr", flags["initial_lr"])
        group.update({**flags, "lr": group["lr"] if scale == 1 else group["lr"] * scale})


def load_scheduler(scheduler, state, optimizer):
    """Its position comes from the state; where the rate is a function of the position, the flags say which."""
    fresh = list(scheduler.base_lrs) if hasattr(scheduler, "base_lrs") else None
    if set(state) == set(scheduler.state_dict()):
        scheduler.load_state_dict(state)
    else:  # another --lr_policy than before
        scheduler.last_epoch = state["last_epoch"]
    if fresh is not None:
        scheduler.base_lrs = fresh
    if isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
        for group, base, factor in zip(optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas):
            group["lr"] = base * factor(scheduler.last_epoch)


def read_state(path):
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        version = state["format"]
    except Exception as error:
        raise InputError(f"{path}: not the state of a run ({str(error).splitlines()[0]})") from None
    if version > FORMAT:
        raise InputError(f"{path}: written by a newer version of this program; update to use it")
    return state


def write_manifest(folder, tag, paths, total_iters):
    files = {os.path.basename(path): {"bytes": os.path.getsize(path), "sha256": digest(path)} for path in paths}
    manifest = {"format": FORMAT, "tag": tag, "total_iters": total_iters, "files": files}
    write_text(os.path.join(folder, f"{tag}_manifest.json"), json.dumps(manifest, indent=1))


def read_manifest(folder, tag):
    """The manifest as a dict, or None if it is missing or damaged."""
    try:
        with open(os.path.join(folder, f"{tag}_manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        return manifest if isinstance(manifest["files"], dict) and isinstance(manifest["total_iters"], int) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def damage(folder, found):
    """What is wrong with a state file, or None.

    A crash between the state and its manifest leaves a whole new state beside an old manifest: then the checksums
    inside the file itself decide.
    """
    manifest = read_manifest(folder, found.tag)
    listed = manifest["files"].get(os.path.basename(found.path)) if manifest else None
    try:
        if listed and os.path.getsize(found.path) == listed["bytes"] and digest(found.path) == listed["sha256"]:
            return None
        with zipfile.ZipFile(found.path) as file:
            broken = file.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        return f"damaged ({error})"
    return f"damaged (checksum of {broken})" if broken else None


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file):  # Python 3.10
    sha = hashlib.sha256()
    while block := file.read(1 << 20):
        sha.update(block)
    return sha.hexdigest()


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
