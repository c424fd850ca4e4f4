"""Save and resume a run.

``<tag>_state.pth`` continues it bit for bit: networks, optimizers, schedules, image pools and position, as tensors and
plain values. ``<tag>_net_<name>.pth`` are exports of the networks, ``<tag>_manifest.json`` holds the checksums.
"""

import contextlib
import glob
import os
import shutil
import sys
import tempfile

import torch
from torch.utils._pytree import tree_map

from util.errors import InputError
from util.files import UNFINISHED, cannot_write, free_bytes, fsync_file, fsync_folder, replacing
from util.processes import distributed
from util.run import folder as run_folder
from util.run import weights
from util.run.states import FORMAT, Found, ModelState, damage, find, read_state

__all__ = ["Checkpoint", "Found", "damage", "find", "read_state"]


class Checkpoint:
    """Saves named objects in a folder: ``Checkpoint(folder, model=model, progress=progress, averages=averages)``.

    Each object has state_dict() and load_state_dict(); `model` and `progress` are required. An object whose class sets
    ``differs_by_rank = True`` is saved once per rank, and loaded only if the world size is the same.

    All ranks call the methods; rank 0 reads and writes. The image pools and running statistics of each rank are saved
    too: with the same world size the run continues bit for bit, with another it continues from the same weights.
    """

    def __init__(self, folder: str, *, model, progress, keep_last: int | None = None, **things):
        self.folder, self.model, self.progress, self.keep_last = folder, model, progress, keep_last
        every = {"progress": progress, **things}
        self._own = {name: thing for name, thing in every.items() if getattr(thing, "differs_by_rank", False)}
        self._shared = {"model": ModelState(model), **{n: thing for n, thing in every.items() if n not in self._own}}
        self._before_save: list = []
        self._ranks: list = []  # during a save of several ranks, the states that differ by rank
        self._written = None  # (position, path, checksum) of the last state, which a second tag copies

    def before_save(self, function) -> None:
        """Call function() on all ranks before every save: for example, wait for a check of the last update."""
        self._before_save.append(function)

    def begin(self, opt) -> None:
        """Before the first step: resume the run (--continue_train), or remove an earlier run's files (--overwrite)."""
        if not opt.continue_train:
            distributed.on_rank0(lambda: self._clear(opt.overwrite))
        elif not opt.pretrained_name:
            wanted = None if opt.epoch == "latest" and not opt.load_iter else weights.tag_of(opt)
            if self.resume(wanted):
                return
            print(
                f"--continue_train: {self.folder} has no {wanted or '<tag>'}_state.pth: the run continues from its "
                "weights alone; optimizers, learning rates and counters start anew (see --epoch_count)"
            )

    def _clear(self, overwrite):
        old = run_folder.checkpoints(self.folder)
        if old and not overwrite:  # options/checks.py refuses older ones: these were written since this process started
            raise InputError(
                f"--name: another run has written checkpoints into {self.folder} since this program started; choose "
                "another name, or continue that run with --continue_train"
            )
        for path in old:
            os.remove(path)

    # --- saving ------------------------------------------------------------------------------------------------------

    def save(self, *tags, must: bool = False) -> None:
        """Write the checkpoint under each of the tags. A failure is a warning, or with `must` an InputError."""
        for function in self._before_save:
            function()
        self._ranks = distributed.gather_on_rank0(self._own_state()) if distributed.world_size() > 1 else []
        for tag in tags:
            distributed.on_rank0(lambda tag=tag: self._save_or_warn(str(tag), must))
        self._ranks = []  # free the memory of the pools

    def _own_state(self):
        things = {name: thing.state_dict() for name, thing in self._own.items()}
        own = {**self._shared["model"].own_state_dict(), **things}
        return tree_map(lambda value: value.cpu() if isinstance(value, torch.Tensor) else value, own)

    def _save_or_warn(self, tag, must):
        try:
            self._save(tag)
        except InputError as error:
            if must:
                raise
            print(f"warning: not saved: {error}; the training continues", file=sys.stderr)

    def _save(self, tag):
        """Write all files into a temporary folder, then move them: exports, state, manifest.

        A failed write leaves the older files untouched. A crash between two moves leaves complete files, old or new.
        """
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._check_space()
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=UNFINISHED, ignore_cleanup_errors=True) as beside:
                try:
                    self._move_in(beside, self._write_beside(beside, tag), tag)
                except InputError as error:  # name the run's folder, not the temporary folder
                    raise InputError(str(error).replace(beside, self.folder)) from error
            self._remove_old(tag)
        except OSError as error:
            raise InputError(cannot_write(self.folder, error, flag="--checkpoints_dir")) from error

    def _write_beside(self, beside, tag):
        """Write the checkpoint into the folder `beside`; returns the relative paths to move, the manifest last.

        A plug-in's save_networks() may write more files there, also in sub-folders: they are moved first.
        """
        with _saving_to(self.model, beside), weights.torch_writes():
            self.model.save_networks(tag)
        found = sorted(
            os.path.relpath(os.path.join(at, name), beside) for at, _, names in os.walk(beside) for name in names
        )
        state = os.path.join(beside, f"{tag}_state.pth")
        for name in sorted({f"{tag}_state.pth", f"{tag}_manifest.json"} & set(found)):
            raise InputError(f"save_networks() writes {name}, a file of the checkpoint itself; choose another name")
        sums = {os.path.basename(path): run_folder.checksum(path) for path in self._exports(beside, tag)}
        sums[os.path.basename(state)] = self._write_state(state)
        run_folder.write_manifest(beside, tag, sums, self.progress.total_iters)
        names = [*(name for name in found if name not in sums), *sums, f"{tag}_manifest.json"]
        return [name for name in names if os.path.lexists(os.path.join(beside, name))]

    def _exports(self, beside, tag):
        """The exports just written; a plug-in's save_networks() may have written them into the run's folder."""
        places = glob.glob(f"{glob.escape(beside)}/{glob.escape(tag)}_net_*")
        places = places or glob.glob(f"{glob.escape(self.folder)}/{glob.escape(tag)}_net_*")
        return sorted(path for path in places if os.path.isfile(path))

    def _move_in(self, beside, names, tag):
        for name in names:
            fsync_file(os.path.join(beside, name))
        for name in names:
            if os.path.dirname(name):
                os.makedirs(os.path.dirname(os.path.join(self.folder, name)), exist_ok=True)
            os.replace(os.path.join(beside, name), os.path.join(self.folder, name))
        fsync_folder(self.folder)
        self._written = (*self._written[:1], os.path.join(self.folder, f"{tag}_state.pth"), *self._written[2:])

    def _write_state(self, path):
        """Write the state and return its checksum. A second tag at the same position gets a copy of the first file."""
        position = self.progress.total_iters, str(self.progress.state_dict())
        if self._written and self._written[0] == position:
            with contextlib.suppress(OSError):  # copied, not hard-linked: corrupting one file leaves the other intact
                shutil.copyfile(self._written[1], path)
                if run_folder.checksum(path) == self._written[2]:
                    return self._written[2]
        state = {"format": FORMAT, **{name: thing.state_dict() for name, thing in self._shared.items()}}
        if self._ranks:
            state["processes"] = self._ranks
        else:
            state.update({name: thing.state_dict() for name, thing in self._own.items()})
        with replacing(path, weights.size_in_bytes(state)) as file:
            weights.write_tensors(state, file)
        self._written = position, path, run_folder.checksum(path)
        return self._written[2]

    def _check_space(self):
        """Raise InputError if the disk has no room for the exports and the state."""
        state = self._shared["model"].state_dict()
        needed = weights.size_in_bytes(state) + weights.size_in_bytes(state["networks"])
        if shutil.disk_usage(self.folder).free < needed:
            raise InputError(f"{self.folder}: a checkpoint needs {needed:,} bytes and {free_bytes(self.folder)}")

    def _remove_old(self, tag):
        """Keep the states of latest, best and the newest epoch; --keep_last removes exports of older epochs.

        States of a later position are removed: the run was resumed from an earlier checkpoint and abandons them.
        Only files with the names of this class are removed, never a plug-in's own files.
        """
        for found in find(self.folder):
            past = found.total_iters > self.progress.total_iters
            if past or (found.tag not in ("latest", "best", tag) and tag not in ("latest", "best")):
                os.remove(found.path)
        if self.keep_last and tag.isdigit():
            epochs = {int(head) for head, _, _ in map(run_folder.split_name, os.listdir(self.folder)) if head.isdigit()}
            for number in sorted((n for n in epochs if n <= int(tag)), reverse=True)[self.keep_last :]:
                names = self.model.networks_by_name()
                exports = [f"{number}_net_{name}{kind}.pth" for name in names for kind in ("", "_ema")]
                for name in (*exports, f"{number}_manifest.json"):
                    with contextlib.suppress(FileNotFoundError):
                        os.remove(os.path.join(self.folder, name))

    # --- resuming ----------------------------------------------------------------------------------------------------

    def resume(self, tag: str | None = None) -> bool:
        """Load the newest undamaged state, or that of `tag`; False if there is no state file."""
        path, state = distributed.on_rank0(lambda: self._newest(tag))
        if path is None:
            return False
        try:
            self._shared["model"].load_state_dict(state["model"], path)
            for name, thing in self._shared.items():
                if name != "model" and name in state:  # an older version of this program saved fewer objects
                    thing.load_state_dict(state[name])
            self._load_own(state)
        except InputError as error:
            raise distributed.raised_once(error) from None
        except Exception as error:  # an undamaged file of another program
            raise InputError(f"{path}: not the state of a run of this model ({error!r})") from None
        print(f"resumed from {path}: {self.progress}")
        return True

    def _newest(self, tag):
        """(path, state) of the newest undamaged state; (None, None) if there is no state file."""
        found = find(self.folder, tag)
        for each in found:
            trouble = damage(self.folder, each)
            if not trouble:
                return each.path, read_state(each.path)
            print(f"{each.path}: {trouble}; looking for an older state")
        if found:
            raise InputError(
                f"{self.folder}: every state in it is damaged, so the run can't be continued exactly; move the "
                "*_state.pth files away to continue from the weights alone"
            )
        return None, None

    def _load_own(self, state):
        """Load the states that differ by rank; a rank beyond the saved world size takes the pools of a lower rank."""
        saved = state.get("processes") or [{name: state.get(name) for name in self._own}]
        own = saved[distributed.rank() % len(saved)]
        if "pools" in own:
            self._shared["model"].load_own_state_dict(own)
        if len(saved) != distributed.world_size():
            print(f"the run was saved by {len(saved)} processes and continues in {distributed.world_size()}")
            return
        for name, thing in self._own.items():
            if own.get(name):
                thing.load_state_dict(own[name])


@contextlib.contextmanager
def _saving_to(model, folder):
    """While the block runs, the model saves its networks into `folder`."""
    before = model.save_dir
    model.save_dir = type(before)(folder)
    try:
        yield
    finally:
        model.save_dir = before
