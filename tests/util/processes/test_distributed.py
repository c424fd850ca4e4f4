"""The functions for several processes in a single process, without torch.distributed. Two: see tests/distributed."""

import contextlib
import subprocess
import sys
from argparse import Namespace

import pytest
import torch

from options.train_options import TrainOptions
from util.errors import InputError
from util.numerics import device
from util.processes import agreement, collectives, distributed, gradients, session


def test_collectives_of_one_process_return_its_own_values():
    assert (distributed.world_size(), distributed.rank(), distributed.step_weight()) == (1, 0, 1.0)
    assert (
        distributed.on_rank0(lambda: 3) == distributed.run_on_all_ranks(lambda: 3) == distributed.value_of_rank0(3) == 3
    )
    assert (
        distributed.gather("x") == ["x"]
        and distributed.maximum(2) == 2
        and distributed.start_maximum([1, 2])() == [1, 2]
    )
    rows = torch.ones(2, 3)
    assert distributed.concatenate_own_first(rows) is rows and distributed.concatenate_in_rank_order(rows) == (rows, 0)
    assert distributed.made_on_rank0(lambda: "here") == "here"
    assert gradients.GradientMeans().of([object()]) is None


def test_importing_it_does_not_import_torch():
    program = "import sys; from util.processes.distributed import gather; gather(1); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize(("theirs", "alike"), [((2, 3, 8, 8), True), ((1, 3, 8, 8), False), (None, None)])
def test_shapes_of_a_step_are_compared_until_the_next(theirs, alike, monkeypatch):
    """With a stand-in for another process, whose batch has the shape `theirs`."""
    numbers = []
    monkeypatch.setattr(session, "_size", 2)
    monkeypatch.setattr(collectives, "start_maximum", lambda own: numbers.append(own) or (lambda: largest(own)))

    def largest(own):
        other = own if theirs == (2, 3, 8, 8) else [own[0] + 1, own[1] - 1]
        return [max(pair) for pair in zip(own, other)]

    distributed.set_step_images(2, 4)
    if theirs is not None:
        distributed.compare_step_shapes({"A": torch.zeros(2, 3, 8, 8), "A_paths": ["a", "b"]})
    else:
        distributed.compare_step_shapes([torch.zeros(2, 3, 8, 8)])  # a batch of a plug-in that is no dict
    assert session.shapes_are_equal() is alike
    distributed.set_step_images(2, 4)
    assert session.shapes_are_equal() is None
    assert len(numbers) == (theirs is not None)
    distributed.set_step_images(1, 1)


def test_an_absent_object_accepts_every_call():
    absent = distributed.Absent()
    assert absent.plot(1, x=2) is None
    with pytest.raises(TypeError):
        len(absent)


@pytest.mark.parametrize(
    ("count", "turn", "gpu_ids", "expected"), [(2, 1, None, 1), (4, 0, "2,3", 2), (4, 1, "2,3", 3)]
)
def test_each_rank_uses_the_gpu_of_its_local_rank(count, turn, gpu_ids, expected, monkeypatch):
    pretend_gpus(monkeypatch, count, turn)
    assert device.resolve(None, gpu_ids) == (torch.device("cuda", expected), [expected])


def test_more_processes_than_gpus_are_refused(monkeypatch):
    pretend_gpus(monkeypatch, 2, turn=2)
    with pytest.raises(InputError, match=r"2 GPUs can be used .* torchrun --nproc_per_node 2, or --device cpu"):
        device.resolve(None, None)
    assert device.resolve("cpu", None) == (torch.device("cpu"), [])


def test_several_gpu_ids_are_returned_and_invalid_ones_refused(monkeypatch):
    pretend_gpus(monkeypatch, 4)
    assert device.resolve(None, "1,3")[1] == [1, 3]
    for wrong in ("1,1", "0,9", "a"):
        with pytest.raises(InputError, match="--gpu_ids|CUDA devices"):
            device.resolve(None, wrong)


def pretend_gpus(monkeypatch, count, turn=None):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    if turn is not None:
        for name, value in {"RANK": turn, "WORLD_SIZE": count, "LOCAL_RANK": turn}.items():
            monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(("word", "factor"), [("none", 1), ("linear", 6), ("sqrt", 6**0.5)])
def test_scale_lr_multiplies_the_rates_by_the_global_batch(word, factor, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(session, "_size", 3)
    options = parsed(tmp_path, monkeypatch, "--scale_lr", word, "--accumulate", "2")
    assert options.opt.lr == pytest.approx(0.0002 * factor)
    options.save()
    assert '"lr": 0.0002,' in (tmp_path / "run" / "train_opt.json").read_text(), "a run that goes on scales it anew"
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], lr=options.opt.lr)
    capsys.readouterr()
    agreement.print_batch_size(Namespace(opt=options.opt, optimizers=[optimizer]))
    assert capsys.readouterr().out == (
        f"3 processes x 4 images x 2 parts: global batch 24, learning rate {0.0002 * factor:g} (--scale_lr {word})\n"
    )


def test_an_unknown_value_of_scale_lr_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--scale_lr linaer: choose none, linear, sqrt; did you mean 'linear'"):
        parsed(tmp_path, monkeypatch, "--scale_lr", "linaer")


def parsed(tmp_path, monkeypatch, *words):
    monkeypatch.setattr(distributed, "value_of_rank0", lambda value: value)
    where = ["--dataroot", "none", "--device", "cpu", "--checkpoints_dir", str(tmp_path), "--name", "run"]
    options = TrainOptions([*where, "--batch_size", "4", *words])
    options.parse()
    return options


def test_a_test_in_many_processes_is_refused(monkeypatch, tmp_path):
    import test as test_program

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    (tmp_path / "experiment_name").mkdir()
    (tmp_path / "experiment_name/latest_net_G.pth").touch()
    with pytest.raises(InputError, match="test.py runs in one process"):
        test_program.main(["--dataroot", "none", "--device", "cpu", "--checkpoints_dir", str(tmp_path)])


LOST = ["[Pair] Connection closed by peer", "NCCL error: remote process exited", "Broken pipe"]


@pytest.mark.parametrize("text", LOST)
def test_a_lost_connection_is_explained(text):
    gone = "the connection to another process of the run is lost"
    with pytest.raises(InputError, match=gone), distributed.explaining_lost_connections():
        raise RuntimeError(text)


def test_other_errors_of_a_collective_call_are_not_changed():
    with pytest.raises(RuntimeError, match="Tensors must be"), distributed.explaining_lost_connections():
        raise RuntimeError("Tensors must be contiguous")


@pytest.mark.parametrize("fails", [False, True])
def test_functions_are_called_before_the_processes_of_a_finished_run_separate(fails, monkeypatch):
    calls, dist = [], torch.distributed
    monkeypatch.setattr(session, "launched", lambda: True)
    monkeypatch.setattr(session, "_join_round", lambda: (1, {}))
    monkeypatch.setattr(session, "_before_leaving", [])
    answers = {"get_world_size": 2, "get_rank": 0, "is_initialized": False, "all_reduce": None}
    for name, answer in answers.items():
        monkeypatch.setattr(dist, name, lambda *_, answer=answer, **__: answer)
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: calls.append("separated"))
    with pytest.raises(InputError) if fails else contextlib.nullcontext(), distributed.session():
        distributed.before_leaving(lambda: calls.append("graphs deleted"))
        if fails:
            raise InputError("an error")
    assert calls == ([] if fails else ["graphs deleted", "separated"])
    assert distributed.world_size() == 1


@pytest.mark.parametrize(
    ("own", "alike", "even"), [(2, True, True), (1, True, False), (2, False, False), (2, None, False)]
)
def test_a_step_is_even_if_batches_and_weights_are_equal(own, alike, even, monkeypatch):
    monkeypatch.setattr(session, "_size", 2)
    distributed.set_step_images(own, 4)
    session.set_shapes_are_equal(None if alike is None else lambda: alike)
    assert distributed.step_is_even() is even
    distributed.set_step_images(1, 1)
