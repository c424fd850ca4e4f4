"""--init_from: a new run that starts with other weights, which differs from a resumed run."""

import pytest
import torch
from test_programs import CYCLE_GAN, SMALL, train, unpaired, weights  # noqa: F401

from util.errors import InputError

STILL = ("--n_epochs_decay", "0", "--lr", "1e-12")


def same(a, b):
    return a.keys() == b.keys() and all(torch.allclose(a[key], b[key], atol=1e-9) for key in a)


@pytest.fixture
def trained(unpaired, tmp_path):  # noqa: F811
    return train(unpaired, tmp_path, *CYCLE_GAN, "--save_epoch_freq", "1", name="first")


def test_a_run_folder_fills_every_network_and_counters_start_at_1(unpaired, trained, tmp_path, capsys):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, *STILL, "--init_from", trained)
    assert all(same(weights(run, name), weights(trained, name)) for name in ("G_A", "G_B", "D_A", "D_B"))
    printed = capsys.readouterr().out
    assert "--init_from: [G_A] 28 of 28 tensors from" in printed
    assert "(epoch: 1, iters: 1," in printed


def test_epoch_chooses_the_weights(unpaired, trained, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, *STILL, "--init_from", trained, "--epoch", "1")
    assert same(weights(run), weights(trained, tag="1"))
    assert not same(weights(run), weights(trained))
    with pytest.raises(InputError, match=r"no weights of '7'.*1, 2, latest.*--epoch"):
        train(unpaired, tmp_path, *CYCLE_GAN, *STILL, "--init_from", trained, "--epoch", "7", name="other")


def test_a_file_fills_the_network_of_its_name(unpaired, trained, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, *STILL, "--init_from", trained / "latest_net_G_B.pth")
    assert same(weights(run, "G_B"), weights(trained, "G_B"))
    assert not same(weights(run, "G_A"), weights(trained, "G_A"))


def test_a_file_of_another_name_goes_to_the_only_network_it_fits(unpaired, trained, tmp_path):  # noqa: F811
    nameless = tmp_path / "weights.pth"
    torch.save(weights(trained), nameless)
    words = (
        "--model",
        "template",
        "--dataset_mode",
        "template",
        "--netG",
        "resnet_4blocks",
        *SMALL,
        *STILL,
        "--no_dropout",
    )
    run = train(unpaired, tmp_path, *words, "--init_from", nameless)
    assert same(weights(run, "G"), weights(trained, "G_A"))
    with pytest.raises(InputError, match="fits G_A, G_B equally well"):
        train(unpaired, tmp_path, *CYCLE_GAN, *STILL, "--init_from", nameless, name="other")


def test_weights_that_do_not_fit_are_listed_and_the_others_are_loaded(unpaired, trained, tmp_path, capsys):  # noqa: F811
    state = weights(trained)
    first, last = next(iter(state)), list(state)[-1]
    state[first] = state[first][:1].clone()
    del state[last]
    state["extra"] = torch.zeros(1)
    torch.save(state, trained / "latest_net_G_A.pth")
    (trained / "latest_net_D_B.pth").unlink()
    run = train(unpaired, tmp_path, *CYCLE_GAN, *STILL, "--init_from", trained)
    printed = capsys.readouterr().out
    assert "[G_A] 26 of 28 tensors" in printed
    assert f"not in the file: {last}" in printed
    assert f"of another shape: {first} (1, 3, 7, 7) for (4, 3, 7, 7)" in printed
    assert "not in the network: extra" in printed
    assert "[D_B] keeps its initial weights" in printed
    assert torch.allclose(weights(run)[list(state)[2]], state[list(state)[2]], atol=1e-9)


def test_weights_of_another_run_without_continue_train_are_refused(unpaired, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match=r"--pretrained_name old: .*--continue_train.* give --init_from .*old"):
        train(unpaired, tmp_path, "--pretrained_name", "old")
    assert not (tmp_path / "runs").exists()


def test_init_from_is_refused_with_continue_train_and_not_restored_by_it(unpaired, trained, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match=r"--init_from .*--continue_train"):
        train(unpaired, tmp_path, "--continue_train", "--init_from", trained, name="first")
    run = train(unpaired, tmp_path, *CYCLE_GAN, *STILL, "--init_from", trained)
    train(unpaired, tmp_path, "--continue_train", "--n_epochs", "2", name=run.name)


@pytest.mark.parametrize("what", ["nowhere", "empty", "text.pth"])
def test_files_without_weights_give_one_line(what, unpaired, tmp_path):  # noqa: F811
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(InputError, match=what):
        train(unpaired, tmp_path, *CYCLE_GAN, "--init_from", tmp_path / what)


def test_weights_that_would_run_code_are_refused(unpaired, trained, tmp_path):  # noqa: F811
    for path in trained.glob("latest_net_*.pth"):
        torch.save({"other": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="nothing in it fits"):
        train(unpaired, tmp_path, *CYCLE_GAN, "--init_from", trained)
