"""Weight files: files of every origin load, others are refused with one line, and no good file is lost."""

import os
import pickle

import pytest
import torch

from models import networks
from util import files
from util.errors import InputError
from util.run import weights


def generator(norm="instance", dropout=False, seed=0, **kwargs):
    torch.manual_seed(seed)
    return networks.define_G(3, 3, 4, "resnet_4blocks", norm=norm, use_dropout=dropout, **kwargs)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_saved_weights_are_loaded_again(tmp_path):
    path = str(tmp_path / "latest_net_G.pth")
    net = generator(norm="batch")
    weights.save_weights(net, path)
    other = generator(norm="batch", seed=1)
    assert not same(net, other)
    weights.load_weights(other, path)
    assert same(net, other)
    assert os.listdir(tmp_path) == ["latest_net_G.pth"]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_dropped(prefix, tmp_path):
    net, other = generator(), generator(seed=1)
    torch.save({prefix + key: value for key, value in net.state_dict().items()}, tmp_path / "w.pth")
    weights.load_weights(other, tmp_path / "w.pth")
    assert same(net, other)


def test_wrapped_networks_save_bare_keys(tmp_path):
    net = generator()
    weights.save_weights(torch.nn.DataParallel(net), tmp_path / "w.pth")
    assert set(torch.load(tmp_path / "w.pth")) == set(net.state_dict())


def test_instance_norm_statistics_of_old_files_are_ignored(tmp_path):
    net, other = generator(), generator(seed=1)
    state = dict(net.state_dict())
    for leftover in ("running_mean", "running_var", "num_batches_tracked"):
        state[f"model.2.{leftover}"] = torch.zeros(4)
        state[f"model.10.conv_block.2.{leftover}"] = torch.zeros(16)
    torch.save(state, tmp_path / "w.pth")
    weights.load_weights(other, tmp_path / "w.pth")
    assert same(net, other)


def test_instance_norms_with_running_statistics_load_them(tmp_path):
    net = torch.nn.Sequential(torch.nn.InstanceNorm2d(2, track_running_stats=True))
    net[0].running_mean.fill_(3)
    weights.save_weights(net, tmp_path / "w.pth")
    other = torch.nn.Sequential(torch.nn.InstanceNorm2d(2, track_running_stats=True))
    weights.load_weights(other, tmp_path / "w.pth")
    assert torch.equal(other[0].running_mean, net[0].running_mean)


def test_batch_norms_without_num_batches_tracked_are_loaded(tmp_path):
    net = generator(norm="batch")
    torch.save({k: v for k, v in net.state_dict().items() if "num_batches" not in k}, tmp_path / "w.pth")
    other = generator(norm="batch", seed=1)
    weights.load_weights(other, tmp_path / "w.pth")
    assert all(torch.equal(found, wanted) for found, wanted in zip(other.parameters(), net.parameters(), strict=True))


@pytest.mark.parametrize(
    ("saved", "built", "flag"),
    [
        (dict(dropout=False), dict(dropout=True), "--no_dropout"),
        (dict(norm="batch"), dict(norm="instance"), "--norm"),
        (dict(no_antialias=False), dict(), "--no_antialias"),
    ],
)
def test_the_error_for_a_mismatch_names_the_likely_flag(saved, built, flag, tmp_path):
    weights.save_weights(generator(**saved), tmp_path / "w.pth")
    with pytest.raises(InputError, match=flag):
        weights.load_weights(generator(**built), tmp_path / "w.pth")


def test_the_error_for_another_width_names_ngf(tmp_path):
    weights.save_weights(networks.define_G(3, 3, 8, "resnet_4blocks", norm="instance"), tmp_path / "w.pth")
    with pytest.raises(InputError, match="--ngf"):
        weights.load_weights(generator(), tmp_path / "w.pth")


class Exploit:
    def __reduce__(self):
        return (os.mkdir, (os.environ["EXPLOIT"],))


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLOIT", str(tmp_path / "ran"))
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Exploit()))
    torch.save({"w": Exploit()}, tmp_path / "zip.pth")
    for name in ("w.pth", "zip.pth"):
        with pytest.raises(InputError, match=name):
            weights.load_weights(generator(), tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_errors_name_missing_damaged_and_foreign_files(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        weights.read_tensors(str(tmp_path / "nowhere" / "latest_net_G.pth"))
    weights.save_weights(generator(), tmp_path / "5_net_G.pth")
    with pytest.raises(InputError, match="5_net_G.pth.*--epoch"):
        weights.read_tensors(str(tmp_path / "latest_net_G.pth"))
    whole = (tmp_path / "5_net_G.pth").read_bytes()
    (tmp_path / "torn.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="torn.pth"):
        weights.read_tensors(str(tmp_path / "torn.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="not the weights"):
        weights.read_tensors(str(tmp_path / "list.pth"))


def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "notes.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.replacing(path) as file:
        file.write(b"half of the new")
        raise RuntimeError("killed here")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_the_error_for_a_full_disk_names_the_path(tmp_path):
    import resource
    import signal

    path = tmp_path / "latest_net_G.pth"
    weights.save_weights(generator(), path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(InputError, match=r"latest_net_G\.pth"):
            weights.save_weights(generator(seed=1), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["latest_net_G.pth"]
