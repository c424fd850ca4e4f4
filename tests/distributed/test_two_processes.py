"""Two processes train like one process. torchrun starts them once (Gloo, CPU), and the tests compare the results."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import (
    CAPTURED,
    EQUAL,
    EXCHANGES,
    IN_PARTS,
    MIXED,
    ROOT,
    build,
    frozen,
    parameters,
    same_draws_for_every_image,
    steps,
)
from PIL import Image
from same import assert_same

import test as test_program
import train as train_program
from util.errors import InputError
from util.processes import distributed
from util.run import checkpoint

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TINY = [
    *("--netG", "resnet_4blocks", "--ngf", "4", "--ndf", "4", "--load_size", "36", "--crop_size", "32"),
    *("--display_id", "0", "--print_freq", "2", "--num_threads", "0", "--device", "cpu", "--seed", "3"),
]
# Adam's first steps are as long as the rate whatever the gradient's size; rounding in gradients near zero shows.
TOLERANCE = 1e-6  # for weights that change by 1e-3


def photos(folder, number=7):
    rng = np.random.default_rng(0)
    for side in ("trainA", "trainB", "testA", "testB"):
        (folder / side).mkdir(parents=True)
        for i in range(number):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / side / f"{i}.png")
    return folder


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which in_two.py ran, with its results in found.pth."""
    folder = tmp_path_factory.mktemp("two")
    photos(folder / "photos")
    command = [*TORCHRUN, "--standalone", "--nproc_per_node", "2", str(HERE / "in_two.py"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    (folder / "output.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return torch.load(folder / "found.pth")


def assert_same_weights(found, wanted):
    here, alike = found
    assert alike
    assert here.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(here[name], value, rtol=0, atol=TOLERANCE, msg=lambda m, name=name: f"{name}: {m}")


def assert_moved(wanted, words, batch_size):
    """Check that training changed the weights, so that comparing them is meaningful."""
    start = parameters(build(words, batch_size))
    assert max(float((value - start[name]).abs().max()) for name, value in wanted.items()) > 4e-4


@pytest.mark.parametrize("name", EQUAL)
def test_two_processes_with_one_image_equal_one_process_with_two(name, found):
    with same_draws_for_every_image():
        model = build(EQUAL[name], 2)
        steps(model, slice(None), 2)
    assert_same_weights(found[f"equal/{name}"], parameters(model))
    assert_moved(parameters(model), EQUAL[name], 2)


@pytest.mark.parametrize("name", IN_PARTS)
def test_two_processes_with_two_micro_batches_equal_one_process_with_four_images(name, found):
    with same_draws_for_every_image():
        model = build(EQUAL[name], 4)
        steps(model, slice(None), 4)
    assert_same_weights(found[f"parts/{name}"], parameters(model))


@pytest.mark.parametrize("name", ["cycle_gan", "dclgan", "stargan"])
def test_images_have_equal_weight_if_processes_have_different_numbers_of_them(name, found):
    with same_draws_for_every_image():
        model = build(EQUAL[name], 3)
        steps(model, slice(None), 3)
    assert_same_weights(found[f"short step/{name}"], parameters(model))


def test_a_layer_without_gradients_is_skipped(found):
    model = frozen(build(EQUAL["template"], 2))
    start = next(model.netG.parameters()).clone()
    steps(model, slice(None), 2)
    assert torch.equal(next(model.netG.parameters()), start)
    assert_same_weights(found["frozen layer/template"], parameters(model))


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_step_exchanges_few_messages_and_waits_for_none_on_the_host(name, found):
    """Before gradients, flags and losses travelled together these were 6 for cycle_gan and 22 for dclgan."""
    in_flight, waited = EXCHANGES[name]
    calls = found[f"exchanges/{name}"]
    assert calls.pop(("all_reduce", True)) == in_flight
    assert calls == ({("all_gather", False): waited} if waited else {})


def test_gradients_are_pieces_of_what_is_exchanged(found):
    assert found["pieces"]
    assert found["strides"]


def test_a_gradient_of_one_process_counts_and_a_parameter_without_any_has_none(found):
    assert found["unused"] == ([2.0] * 3, [1.5] * 3, None, 10.5)


def test_compressed_gradients_are_rounded_and_processes_stay_alike(found):
    gradient, alike, moved = found["compressed"]
    assert gradient == [1.0 + 2**-7, 1.0]
    assert alike
    model = build(EQUAL["cycle_gan"], 2, double=False)
    start = parameters(model)
    steps(model, slice(None), 2)
    exact = parameters(model)
    for name, value in moved.items():
        if value.dim() == 4:  # of biases before a norm the gradients are rounding alone
            assert (value - exact[name]).abs().mean() < 0.5 * (exact[name] - start[name]).abs().mean()


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_steps_in_two_processes_are_bit_equal(name, found):
    equal, alike, checked = found[f"captured/{name}"]
    assert equal and alike
    assert checked == [True] * (2 if name == "stargan" else 1)


@pytest.mark.parametrize("fault", [0, 1])
def test_processes_give_up_graphs_together(fault, found):
    off, alike = found[f"given up/{fault}"]
    assert off == [(True, {})] * 2
    assert alike


def test_steps_with_closures_are_refused(found):
    assert found["closure"].startswith("LBFGS.step(closure): ")


def test_a_process_without_images_does_not_change_the_result(found):
    model = build(EQUAL["template"], 1)
    steps(model, slice(None), 1)
    assert_same_weights(found["one image/template"], parameters(model))


@pytest.mark.parametrize("name", MIXED)
def test_weights_are_equal_bit_for_bit_after_fifty_steps(name, found):
    alike, pools = found[f"fifty/{name}"]
    assert alike
    if name in ("cycle_gan", "dclgan", "simdcl"):
        assert len(set(pools)) == 2, "each process has a pool of its own"


@pytest.mark.parametrize("style", ["k_style", "u_style", "c_style", "cut_style"])
def test_plug_ins_with_their_own_optimizer_step_have_equal_weights_on_all_ranks(style, found, folder):
    assert found[f"plug-in/{style}"]
    assert "(epoch: 2, iters: 6," in (folder / "runs" / style / "loss_log.txt").read_text()


def test_a_signal_to_one_process_stops_all_after_the_same_step(found):
    (codes, asked), (other_codes, other_asked) = found["stopped"]
    assert codes == other_codes == [0, 143]
    assert asked == other_asked == 5  # the signal came in the fourth


def test_a_run_resumed_by_as_many_processes_equals_the_uninterrupted_run(folder):
    straight, continued = (folder / "runs" / name for name in ("straight", "continued"))
    assert_same(*(checkpoint.read_state(run / "latest_state.pth") for run in (straight, continued)))
    assert records(straight) == records(continued)
    stopped = checkpoint.read_state(folder / "runs/stopped/latest_state.pth")
    assert (stopped["progress"]["epoch"], stopped["progress"]["total_iters"]) == (2, 9)
    assert len(stopped["processes"]) == 2


def test_an_evaluation_by_two_processes_has_the_numbers_of_one(folder, tmp_path):
    lines = [(folder / "runs" / name / "metrics.jsonl").read_text() for name in ("straight", "continued")]
    assert lines[0] == lines[1]
    found = [json.loads(line) for line in lines[0].splitlines()]
    assert [line["images_seen"] for line in found] == [7, 14, 21]
    words = ["--dataroot", str(folder / "photos"), "--checkpoints_dir", str(folder / "runs"), "--name", "straight"]
    words += ["--results_dir", str(tmp_path), "--num_test", "5", "--metrics", "l1,edges", "--device", "cpu"]
    test_program.main(words)
    scores = json.loads((tmp_path / "straight" / "test_latest" / "metrics.json").read_text())
    assert {name: metric["value"] for name, metric in scores["metrics"].items()} == found[-1]["metrics"]
    newest = json.loads((folder / "runs/straight/metrics.json").read_text())
    assert newest["metrics"] == scores["metrics"]
    best = checkpoint.read_state(folder / "runs/straight/best_state.pth")["evaluations"]["best"]
    assert best == max(line["metrics"]["edges"] for line in found)


def records(run):
    lines = [json.loads(line) for line in (run / "loss_log.jsonl").read_text().splitlines()]
    return [(line["epoch"], line["iters"], line["images"], line["losses"]) for line in lines]


def test_an_epoch_reads_every_image_once_and_writes_one_log(folder):
    points = records(folder / "runs/straight")
    assert [(epoch, iters, images) for epoch, iters, images, _ in points] == [
        *((1, 2, 2), (1, 4, 4), (1, 6, 6)),  # seven images: four steps, the last with one
        *((2, 2, 9), (2, 4, 11), (2, 6, 13), (2, 7, 14)),
        *((3, 2, 16), (3, 4, 18), (3, 6, 20), (3, 7, 21)),  # the end of the run has a line, too
    ]
    output = (folder / "output.txt").read_text()
    assert output.count("2 processes x 1 images: global batch 2, learning rate 0.0002") >= 3
    assert output.count("saving the model at the end of epoch 3, iters 21") == 2  # straight and continued


def test_one_process_resumes_a_run_of_two_at_the_next_epoch(folder, tmp_path, capsys):
    subprocess.run(["cp", "-r", folder / "runs/straight", tmp_path / "straight"], check=True)
    where = ["--dataroot", str(folder / "photos"), "--checkpoints_dir", str(tmp_path), "--name", "straight"]
    train_program.main([*where, "--continue_train", "--n_epochs_decay", "2", "--device", "cpu"])
    output = capsys.readouterr().out
    assert "saved by 2 processes and continues in 1" in output
    after = checkpoint.read_state(tmp_path / "straight" / "latest_state.pth")["progress"]
    assert (after["epoch"], after["total_iters"], after["epoch_iter"]) == (5, 28, 0)
    assert [point[:3] for point in records(tmp_path / "straight")][-3:] == [(4, 3, 24), (4, 5, 26), (4, 7, 28)]


@pytest.mark.slow
def test_four_processes_resume_a_run_of_two_inside_an_epoch(folder, tmp_path):
    subprocess.run(["cp", "-r", folder / "runs/stopped", tmp_path / "run"], check=True)
    where = ["--dataroot", str(folder / "photos"), "--checkpoints_dir", str(tmp_path), "--name", "run"]
    done = run(4, *where, "--continue_train", "--device", "cpu")
    assert done.returncode == 0, done.stderr[-3000:]
    after = checkpoint.read_state(tmp_path / "run" / "latest_state.pth")
    assert (after["progress"]["epoch"], after["progress"]["total_iters"]) == (4, 21)
    assert len(after["processes"]) == 4


def run(processes, *words, launcher=(), **more):
    command = [*TORCHRUN, "--standalone", "--nproc_per_node", str(processes), *launcher, str(ROOT / "train.py"), *words]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, **more)


def test_an_error_is_printed_once(tmp_path):
    done = run(2, "--dataroot", str(tmp_path), "--checkpoints_dir", str(tmp_path), "--name", "x", *TINY)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and str(tmp_path) in said[0]
    assert "exitcode  : 2" in done.stderr


def test_one_process_under_torchrun_works_and_syncbatch_needs_a_gpu(tmp_path):
    where = ["--dataroot", str(photos(tmp_path / "photos", 2)), "--checkpoints_dir", str(tmp_path), "--name", "x"]
    done = run(1, *where, *TINY, "--n_epochs", "1", "--n_epochs_decay", "0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "x" / "latest_state.pth").exists()
    done = run(1, *where, *TINY, "--overwrite", "--norm", "syncbatch")
    assert "error: --norm syncbatch" in done.stderr and "--norm instance" in done.stderr


def children_of(pid):
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "train.py" in line]


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_killed_process_ends_the_job_or_restarts_it_from_the_last_checkpoint(restarts, tmp_path):
    data, runs = photos(tmp_path / "photos", 16), tmp_path / "runs"
    words = ["--dataroot", str(data), "--checkpoints_dir", str(runs), "--name", "run", *TINY, "--overwrite"]
    words += ["--n_epochs", "6", "--n_epochs_decay", "0", "--save_latest_freq", "10"]
    launcher = ["--standalone", "--nproc_per_node", "2", "--max_restarts", str(restarts)]
    with open(tmp_path / "output", "w") as output:
        process = subprocess.Popen(
            [*TORCHRUN, *launcher, str(ROOT / "train.py"), *words],
            cwd=ROOT,
            env=environment(),
            stdout=output,
            stderr=output,
        )
        wait_for((runs / "run" / "latest_state.pth").exists, process)
        victim = children_of(process.pid)[-1]
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        code = process.wait(timeout=200)
        lasted = time.monotonic() - killed
    text = (tmp_path / "output").read_text()
    if restarts == 0:
        assert code != 0 and lasted < 30
        assert f"Signal 9 (SIGKILL) received by PID {victim}" in text
        assert "the connection to another process of the run is lost" in text
        return
    assert code == 0, text[-3000:]
    assert "the launcher has restarted the run: it continues from the last checkpoint" in text
    assert text.count("resumed from") == 1
    after = checkpoint.read_state(runs / "run" / "latest_state.pth")["progress"]
    assert (after["epoch"], after["total_iters"]) == (7, 96)
    assert [line[2] for line in records(runs / "run")] == list(range(2, 97, 2))  # no point twice, none missing


def test_a_launched_program_ends_with_its_code_whatever_its_objects_do_at_the_end(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import atexit, os, sys\n"
        "from util.processes import distributed\n"
        "class Aborts:\n"
        "    def __del__(self): os.abort()\n"
        "kept = Aborts()\n"
        "atexit.register(print, 'exit handlers ran')\n"
        "print('written', end=' ')\n"
        "distributed.leave(int(sys.argv[1]))\n"
    )
    launched = {**environment(), "RANK": "0", "WORLD_SIZE": "1"}
    for code in (0, 143):
        done = subprocess.run([sys.executable, program, str(code)], env=launched, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (code, "written exit handlers ran\n")
    with pytest.raises(SystemExit) as left:
        distributed.leave(3)
    assert left.value.code == 3


def test_gpu_ids_with_several_values_returns_the_exit_code_of_the_processes(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import os, sys; sys.exit(int(sys.argv[1]) if os.environ['RANK'] == '1' else 0)")
    assert distributed.launch(2, [sys.executable, str(program), "0"]) == 0
    assert distributed.launch(2, [sys.executable, str(program), "2"]) == 2
    program.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(InputError, match=r"was killed by signal 9; continue the run with --continue_train"):
        distributed.launch(2, [sys.executable, str(program)])
