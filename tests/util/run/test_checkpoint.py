"""Checkpoints survive a kill at any point of a save; damage is named; a failed save loses nothing."""

import json
import os
import pickle
import shutil
import signal
import zipfile
from argparse import Namespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_faults import file_size_limit

from util import files
from util.errors import InputError
from util.image_pool import ImagePool
from util.numerics.precision import Precision
from util.run import checkpoint, weights
from util.run import folder as run_folder
from util.run.states import model_state


class Model:
    """Two networks, an optimizer with moments, a schedule and a pool: everything a state holds, in a few kilobytes."""

    def __init__(self, folder):
        self._precision = Precision("fp32", "cpu")
        torch.manual_seed(0)
        self.save_dir = str(folder)
        self.netG_A, self.netG_B = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.optimizers = [torch.optim.Adam([*self.netG_A.parameters(), *self.netG_B.parameters()], lr=0.1)]
        self.schedulers = [torch.optim.lr_scheduler.StepLR(self.optimizers[0], 2)]
        self.fake_pool = ImagePool(8)

    def networks_by_name(self):
        return {"G_A": self.netG_A, "G_B": self.netG_B}

    def save_networks(self, tag):
        for name, net in self.networks_by_name().items():
            weights.save_weights(net, os.path.join(self.save_dir, f"{tag}_net_{name}.pth"))

    def load_networks(self, tag):
        for name, net in self.networks_by_name().items():
            weights.load_weights(net, os.path.join(self.save_dir, f"{tag}_net_{name}.pth"))

    def step(self):
        images = torch.randn(1, 3)
        self.fake_pool.query(images[:, :, None, None])
        self.optimizers[0].zero_grad()
        self.netG_B(self.netG_A(images)).square().sum().backward()
        self.optimizers[0].step()
        self.schedulers[0].step()


class Position:
    def __init__(self):
        self.total_iters = 0

    def state_dict(self):
        return {"total_iters": self.total_iters}

    def load_state_dict(self, state):
        self.total_iters = state["total_iters"]


class Run:
    """A run of that model in a folder: ``step()``, ``save()``, ``resume()``."""

    def __init__(self, folder, **flags):
        flags = {"continue_train": True, "overwrite": False, "pretrained_name": None, "keep_last": None, **flags}
        flags = {"epoch": "latest", "load_iter": 0, **flags}
        opt = Namespace(checkpoints_dir=str(folder.parent), name=folder.name, **flags)
        self.model, self.position = Model(folder), Position()
        self.opt = opt
        self.checkpoint = checkpoint.Checkpoint(
            str(folder), keep_last=opt.keep_last, model=self.model, progress=self.position
        )

    def step(self, times=1):
        for _ in range(times):
            self.model.step()
            self.position.total_iters += 1
        return self

    def save(self, *tags):
        for tag in tags:
            self.checkpoint.save(tag, must=True)
        return self

    def bits(self):
        """The content of a state as text, which is equal only for bitwise equal states."""
        return repr(_bits(model_state(self.model))) + repr(self.position.state_dict())


def _bits(value):
    if isinstance(value, torch.Tensor):
        return value.dtype, value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _bits(item) for key, item in value.items()}
    return [_bits(item) for item in value] if isinstance(value, (list, tuple)) else value


def resumed(folder, **flags):
    run = Run(folder, **flags)
    assert run.checkpoint.resume(flags.get("epoch"))
    return run


def in_child(work):
    """Run `work` in a forked process; returns its status from os.waitpid."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


CALLS = ("replace", "fsync", "unlink", "rmdir", "chmod")  # calls that change the disk, besides writes
EVERY = 15  # a small state is written by about a hundred calls; every fifteenth of them is killed


def dying(monkeypatch, deadline):
    """Send SIGKILL just before the call with this number that changes the disk."""
    left = [deadline]

    def counted(real, weight=1):
        def call(*args, **kwargs):
            left[0] -= weight
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    real_fdopen = os.fdopen

    def fdopen(*args, **kwargs):
        file = real_fdopen(*args, **kwargs)
        if "b" not in str(args[1:]):
            return file
        return Counted(file, counted(file.write, 1 / EVERY))

    monkeypatch.setattr(os, "fdopen", fdopen)


class Counted:
    """A file whose write() is counted; a kill in it keeps the bytes written before, flushed or not."""

    def __init__(self, file, write):
        self.file, self.write = file, write

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.file.__exit__(*error)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("tags", [("latest",), pytest.param(("latest", "1"), marks=pytest.mark.slow)], ids="-".join)
def test_a_kill_at_any_point_of_a_save_leaves_the_old_or_the_new_state(tags, tmp_path, monkeypatch, capsys):
    old = Run(tmp_path / "before").step(3).save("latest").bits()
    new = Run(tmp_path / "new").step(5).bits()
    seen, kills = [], 0
    for deadline in range(2000):
        run = as_it_was(tmp_path)

        def save(run=run, deadline=deadline):
            run.step(2)
            with monkeypatch.context() as patched:
                dying(patched, deadline)
                run.save(*tags)

        ended = in_child(save)
        again = resumed(tmp_path / "run").bits()
        assert again in (old, new), f"killed before touch {deadline}"
        seen.append(again == new)
        for export in (tmp_path / "run").glob("*.pth"):
            assert zipfile.ZipFile(export).testzip() is None
        if not os.WIFSIGNALED(ended):
            break
        kills += 1
        with run_folder.owning(str(tmp_path / "run")):
            assert not list((tmp_path / "run").glob(f"{files.UNFINISHED}*"))
    assert seen == sorted(seen)  # once the new state exists, it is kept
    assert seen[-1] and not seen[0] and kills >= 30
    with capsys.disabled():
        print(f" [{kills} kills inside a save of {', '.join(tags)}]", end="")


def as_it_was(tmp_path):
    """The folder of a run of three steps, as it was before the kill."""
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    shutil.copytree(tmp_path / "before", tmp_path / "run")
    return Run(tmp_path / "run").step(3)


def test_a_failed_save_changes_no_file(tmp_path, monkeypatch):
    run = Run(tmp_path / "run").step().save("latest")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    run.step()
    whole, failures = weights.write_tensors, 0
    for nth in range(1, 4):  # G_A, G_B, the state
        calls = iter(range(1, 100))

        def full(state, file, nth=nth, calls=calls):
            whole(state, file)
            if next(calls) == nth:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(weights, "write_tensors", full)
        with pytest.raises(InputError, match=r"No space left.*[\d,]+ bytes are needed and [\d,]+ bytes are free"):
            run.save("latest")
        assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
        failures += 1
    assert failures == 3


def test_a_failed_save_by_the_save_networks_of_a_plug_in_changes_no_file(tmp_path, capsys):
    class Own(Model):
        def save_networks(self, tag):
            for name, net in self.networks_by_name().items():
                torch.save(net.state_dict(), os.path.join(self.save_dir, f"{tag}_net_{name}.pth"))

    run = Run(tmp_path / "run")
    run.checkpoint.model = run.model = Own(tmp_path / "run")
    run.step().save("latest")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with file_size_limit(1000):
        run.step().checkpoint.save("latest")
    assert "not saved" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    run.save("latest")
    assert len(before) == 4


def harms(data):
    """The same bytes, damaged in many ways."""
    flips = sorted({0, 1, 7, 30, len(data) // 3, len(data) // 2, len(data) - 30, len(data) - 1})
    yield from (data[: len(data) * part // 8] for part in range(8))
    yield from (data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :] for at in flips if 0 <= at < len(data))
    yield data + b"more"
    yield b"\0" * len(data)


def test_with_a_damaged_file_the_newest_undamaged_state_is_resumed(tmp_path, capsys):
    """A damaged state is replaced by the previous one; damaged exports and manifests do not matter."""
    folder = tmp_path / "run"
    run = Run(folder).step(2).save("latest", "1")
    older = run.bits()
    newer = run.step().save("latest").bits()
    count = {}
    for path in sorted(folder.glob("latest_*")):
        whole = path.read_bytes()
        for harmed in harms(whole):
            path.write_bytes(harmed)
            capsys.readouterr()
            again = resumed(folder).bits()
            assert again in (older, newer)
            if again == older:
                assert path.name == "latest_state.pth"
                assert f"{path}: " in capsys.readouterr().out
            if "_net_" in path.name:
                assert_named_or_whole(path, run.model)
            count[path.name] = count.get(path.name, 0) + 1
        path.write_bytes(whole)
    with capsys.disabled():
        print(f" [{count}]", end="")
    assert min(count.values()) >= 15 and len(count) == 4


def assert_named_or_whole(path, model):
    """A damaged export is refused by name, with the name of an undamaged checkpoint; or its content is the original."""
    name = path.name.removesuffix(".pth").split("_net_")[1]
    try:
        state = weights.read_tensors(path)
    except InputError as error:
        assert str(path) in str(error)
        assert "--epoch 1" in str(error)
    else:
        wanted = model.networks_by_name()[name].state_dict()
        assert all(torch.equal(state[key], wanted[key]) for key in wanted)


def test_a_replaced_export_is_used_and_reported(tmp_path, capsys):
    run = Run(tmp_path / "run").step().save("latest")
    weights.save_weights(torch.nn.Linear(3, 3), tmp_path / "run" / "latest_net_G_A.pth")
    run.model.load_networks("latest")
    printed = capsys.readouterr().out
    assert (
        "latest_net_G_A.pth: readable, but not the file that latest_manifest.json lists" in printed
        and "G_B" not in printed
    )


def test_a_missing_state_is_written_instead_of_copied(tmp_path):
    run = Run(tmp_path / "run").step().save("latest")
    (tmp_path / "run" / "latest_state.pth").write_bytes(b"bent since")
    run.save("1")
    assert resumed(tmp_path / "run", epoch="1").bits() == run.bits()


def test_taking_a_run_back_to_an_earlier_epoch_is_not_undone_by_the_next_resume(tmp_path):
    folder = tmp_path / "run"
    Run(folder).step(2).save("latest", "1")
    early = {path.name: path.read_bytes() for path in folder.glob("1_*")}
    Run(folder).step(6).save("latest", "3")
    for name, content in early.items():
        (folder / name).write_bytes(content)
    back = resumed(folder, epoch="1", keep_last=1).step().save("latest")
    assert resumed(folder).bits() == back.bits()
    back.step().save("latest", "2")
    assert resumed(folder).bits() == back.bits()
    assert (folder / "2_state.pth").exists() and (folder / "2_net_G_A.pth").exists()


def test_an_epoch_without_state_continues_from_its_exported_weights(tmp_path, capsys):
    folder = tmp_path / "run"
    early = Run(folder).step(2).save("latest", "1")
    wanted = {key: value.clone() for key, value in early.model.netG_A.state_dict().items()}
    early.step(2).save("latest", "2")
    assert not (folder / "1_state.pth").exists()
    again = Run(folder, epoch="1")
    again.model.load_networks("1")  # as setup() does
    again.checkpoint.begin(again.opt)  # and does not load the state of epoch 2
    assert all(torch.equal(value, wanted[key]) for key, value in again.model.netG_A.state_dict().items())
    assert "weights alone" in capsys.readouterr().out


def test_only_the_newest_state_by_iteration_is_kept(tmp_path):
    run = Run(tmp_path / "run")
    for images in (1, 2, 3):
        run.step().save(f"iter_{images}")
    assert {path.name for path in (tmp_path / "run").glob("*_state.pth")} == {"iter_3_state.pth"}
    assert len(list((tmp_path / "run").glob("iter_*_net_G_A.pth"))) == 3
    assert resumed(tmp_path / "run").bits() == run.bits()


def test_checkpoints_written_during_the_start_are_kept(tmp_path):
    Run(tmp_path / "run").step().save("latest")
    with pytest.raises(InputError, match="--continue_train"):
        run = Run(tmp_path / "run", continue_train=False)
        run.checkpoint.begin(run.opt)
    assert resumed(tmp_path / "run").position.total_iters == 1


class Exploit:
    def __reduce__(self):
        return (os.mkdir, (os.environ["EXPLOIT"],))


def test_a_state_that_would_run_code_is_refused_by_name_and_does_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EXPLOIT", str(tmp_path / "ran"))
    folder = tmp_path / "run"
    Run(folder).step().save("latest")
    path, tries = folder / "latest_state.pth", 0
    listed = json.loads((folder / "latest_manifest.json").read_text())
    for how in ("pickle", "zip", "legacy"):
        if how == "pickle":
            path.write_bytes(pickle.dumps({"format": 1, "model": Exploit()}))
        else:
            hostile = {"format": 1, "model": Exploit(), "progress": {}}
            torch.save(hostile, path, _use_new_zipfile_serialization=how == "zip")
        listed["files"][path.name] = run_folder.checksum(path)  # with a valid checksum, as an attacker would write it
        (folder / "latest_manifest.json").write_text(json.dumps(listed))
        with pytest.raises(InputError, match="latest_state.pth: refused, it holds more than tensors"):
            Run(folder).checkpoint.resume()
        tries += 1
    assert tries == 3 and not (tmp_path / "ran").exists()


STRANGE = [
    *({"format": 99}, {"format": "x"}, {"format": None}, {"format": 1}, [], 7, "text", {}),
    {"format": 1, "model": {}, "progress": {}},
    {"format": 1, "model": {"networks": [], "optimizers": []}, "progress": None},
    {"format": 1, "model": None, "progress": None},
]


def test_states_of_other_programs_give_one_line(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for strange in STRANGE:
        torch.save(strange, folder / "latest_state.pth")
        with pytest.raises(InputError, match="latest_state.pth"):
            Run(folder).checkpoint.resume()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
nearly = st.fixed_dictionaries(
    {"format": anything, "total_iters": st.integers() | anything, "files": anything},
    optional={"tag": anything},
)
of_files = st.fixed_dictionaries(
    {
        "total_iters": st.integers(),
        "files": st.dictionaries(
            st.sampled_from(["latest_state.pth", "latest_net_G_A.pth", "../x_net_G.pth", "/etc/passwd", ""]), anything
        ),
    }
)


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manifests") / "run"
    Run(folder).step().save("latest")
    return folder


@settings(max_examples=200, deadline=None)
@given(content=(anything | nearly | of_files).map(json.dumps).map(str.encode) | st.binary(max_size=60))
def test_any_manifest_is_read_or_ignored(one_run, content):
    (one_run / "latest_manifest.json").write_bytes(content)
    known = run_folder.read_manifest(str(one_run), "latest")
    assert known is None or isinstance(known, dict)
    (found,) = checkpoint.find(str(one_run))
    assert checkpoint.damage(str(one_run), found) is None  # the state itself is whole
    run_folder.whole_exports(str(one_run))
    assert Run(one_run).checkpoint.resume()
    assert weights.read_tensors(one_run / "latest_net_G_A.pth")


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_other_content_of_a_state_file_is_recognised_as_damage(one_run, content):
    path = one_run / "1_state.pth"
    path.write_bytes(content)
    assert checkpoint.damage(str(one_run), checkpoint.Found("1", str(path), 0))
    path.unlink()


def test_a_deeply_nested_manifest_is_ignored(one_run):
    for content in ("[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "NaN", "\ufeff{}"):
        (one_run / "latest_manifest.json").write_text(content, encoding="utf-8")
        assert run_folder.read_manifest(str(one_run), "latest") is None


class OwnFiles(Model):
    """A plug-in that saves more than its networks."""

    def save_networks(self, tag):
        super().save_networks(tag)
        os.makedirs(os.path.join(self.save_dir, "ema"), exist_ok=True)
        for name in ("iter.txt", "latest_optimizer_state.pth", f"{tag}_net_G_A_moments.pth", f"ema/{tag}.pth"):
            with open(os.path.join(self.save_dir, name), "w", encoding="utf-8") as file:
                file.write(f"{tag}: {name}")


OWN_FILES = ("iter.txt", "latest_optimizer_state.pth", "1_net_G_A_moments.pth", "2_net_G_A_moments.pth")


def test_files_that_a_plug_in_saves_beside_its_networks_are_kept_and_never_pruned(tmp_path):
    folder = tmp_path / "run"
    run = Run(folder, keep_last=1)
    run.model.__class__ = OwnFiles
    for epoch in (1, 2):
        run.step().save("latest", str(epoch))
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {*OWN_FILES, "ema/latest.pth", "ema/1.pth", "ema/2.pth"} <= kept
    assert (folder / "iter.txt").read_text() == "2: iter.txt"
    assert "1_net_G_A.pth" not in kept and "2_net_G_A.pth" in kept
    assert not list(folder.glob(f"{files.UNFINISHED}*"))
    assert resumed(folder).bits() == run.bits()


def test_overwrite_removes_checkpoints_and_leaves_files_of_a_plug_in(tmp_path):
    folder = tmp_path / "run"
    Run(folder).step().save("latest", "1")
    for name in ("sharpest_net_G_A.pth", "latest_optimizer_state.pth", "notes_manifest.json"):
        (folder / name).write_text("not ours")
    run = Run(folder, continue_train=False, overwrite=True)
    run.checkpoint.begin(run.opt)
    assert {path.name for path in folder.iterdir()} == {
        "sharpest_net_G_A.pth",
        "latest_optimizer_state.pth",
        "notes_manifest.json",
    }
