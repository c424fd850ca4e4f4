"""The benchmarks run with tiny sizes, and their figures are consistent. Speed is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # after the project on the path: benchmarks/data.py is not the package data

import compile_time  # noqa: E402
import costs  # noqa: E402
import feeding  # noqa: E402
import floor  # noqa: E402
import gather  # noqa: E402
import growth  # noqa: E402
import harness  # noqa: E402
import inference  # noqa: E402
import reference  # noqa: E402
import step_cases  # noqa: E402
import steps  # noqa: E402
import workload  # noqa: E402
from workload import Setting  # noqa: E402

from util.numerics import compiling  # noqa: E402

CPU = ("--device", "cpu", "--threads", "1", "--rounds", "2")
TINY = ("--ngf", "4", "--ndf", "4", "--netG", "resnet_4blocks")
NET = ("--ngf", "4", "--ndf", "4", "--netG", "resnet_6blocks")


def is_spread(figure):
    return 0 < figure["min"] <= figure["median"] <= figure["max"] and figure["n"] > 0


def run(program, tmp_path, *words):
    """The JSON that a benchmark writes."""
    path = tmp_path / "found.json"
    program.main([*CPU, "--json", str(path), *words])
    content = json.loads(path.read_text())
    assert content["machine"]["torch"] == torch.__version__.split("+")[0]
    assert content["machine"]["threads"] == 1
    return content


# --- multiply-adds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, own, original",  # in 1e9; original: that of the released code with its default flags
    [
        ("pix2pix@256", 43.5, 43.5),
        pytest.param("cycle_gan@256", 939.6, 939.6, marks=pytest.mark.slow),
        pytest.param("cut@256", 642.6, 711.6, marks=pytest.mark.slow),
        ("fastcut@256", 364.1, 381.3),
        pytest.param("dclgan@256", 1076.8, 1145.5, marks=pytest.mark.slow),
        pytest.param("simdcl@256", 1078.6, 1283.8, marks=pytest.mark.slow),
        ("stargan@128x1", 26.9, 30.4),
    ],
)
def test_multiply_adds_of_a_step(model, own, original):
    setting = Setting.parse(model)
    assert workload.count(setting, ["--economies", "yes"]) / 1e9 == pytest.approx(own, abs=0.06)
    assert reference.count(setting, []) / 1e9 == pytest.approx(original, abs=0.06)


def test_twice_the_batch_has_twice_the_multiply_adds():
    counts = [workload.count(Setting("cut", 32, batch), NET) for batch in (1, 2)]
    assert counts[1] == pytest.approx(2 * counts[0])


def test_flags_that_change_only_the_execution_change_no_count():
    setting = Setting("cycle_gan", 32, 1)
    words = ["--precision", "bf16", "--channels_last", "--compile", "default", *NET]
    assert workload.picked(words, lambda flag: flag not in workload.PLAIN) == list(NET)
    assert workload.picked(words, lambda flag: flag == "compile") == ["--compile", "default"]
    assert workload.count(setting, words[:2] + list(NET)) == workload.count(setting, NET)


@pytest.mark.parametrize("backward", [True, False])
def test_multiply_adds_of_the_reference_convolution(backward):
    convolution = floor.Convolution("cpu", batch=2, backward=backward)
    with workload.MultiplyAdds() as counter:
        convolution.run()
    assert counter.total == convolution.work


def test_layers_are_timed_in_their_own_shapes():
    """The convolutions of a step, each alone: the same multiply-adds."""
    found = workload.operations(Setting("cycle_gan", 32, 1), [*TINY])
    ran = {}

    class Seconds:  # a clock that counts instead
        def seconds(self, function):
            with workload.MultiplyAdds() as counter:
                function()
            ran.update(counter.calls)
            return counter.total

    assert floor.seconds_of_layers(found.calls, "cpu", Seconds()) == found.total
    assert ran.keys() == found.calls.keys()


class FakeCuda:
    """Stands in for torch.cuda: set_sync_debug_mode() and a synchronising call."""

    mode = 1

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        self.mode = mode

    def synchronising_call(self):
        if self.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")


@pytest.mark.parametrize("waits", [True, False])
def test_a_step_is_checked_for_waiting_by_torchs_own_check(monkeypatch, waits):
    cuda = FakeCuda()
    monkeypatch.setattr(torch, "cuda", cuda)
    modes = []

    class Step:
        cycle = 1

        def steps(self, number):
            modes.append(cuda.mode)
            if waits:
                cuda.synchronising_call()

    found = step_cases.why_it_waits(Step())
    assert found == ("RuntimeError: called a synchronizing CUDA operation" if waits else None)
    assert modes == ["error"]
    assert cuda.mode == 1  # as before


def test_other_errors_of_the_checked_step_are_errors(monkeypatch):
    monkeypatch.setattr(torch, "cuda", FakeCuda())

    class Step:
        cycle = 1

        def steps(self, number):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        step_cases.why_it_waits(Step())


def test_a_step_is_profiled():
    training = workload.Training(Setting("cycle_gan", 32, 1), [*TINY], "cpu")
    clock = harness.Clock(harness.settle(harness.parser("").parse_args(CPU)))
    found = step_cases.profiled(training, clock, on_gpu=False)
    assert found["launches"] > 500
    assert found["busy_seconds"] > 0
    assert found["host_seconds"] > 0


@pytest.mark.parametrize("words", [["--compile", "default"], []])
def test_warm_up_goes_on_until_every_shape_is_compiled(words, monkeypatch):
    """A shape that is not a network's first is compiled when it has come OFTEN times."""
    monkeypatch.setattr("util.numerics.compiling.why_not", lambda kind: "not here")
    training = workload.Training(Setting("cut", 32, 1), [*NET, *words], "cpu")
    calls = []
    monkeypatch.setattr(training, "step", lambda: calls.append(1))
    training.warm_up()
    assert len(calls) > compiling.OFTEN if words else len(calls) == 1


# --- the harness -----------------------------------------------------------------------------------------------------


def test_variants_alternate_in_rounds_until_the_time_limit():
    calls = []
    tasks = {name: lambda name=name: calls.append(name) or len(calls) for name in "ab"}
    assert harness.interleave(tasks, 5, after=lambda number: number == 1) == {"a": [1, 3], "b": [2, 4]}
    assert calls == ["a", "b", "a", "b"]


def test_settings_of_variants_are_parsed():
    assert Setting.parse("pix2pix") == ("pix2pix", 256, 1)
    assert Setting.parse("stargan@64") == ("stargan", 64, 4)
    assert Setting.parse("cycle_gan@256x8") == ("cycle_gan", 256, 8)
    with pytest.raises(ValueError, match="name@size"):
        Setting.parse("cut@")


def test_a_figure_is_printed_with_its_range():
    assert harness.shown(harness.spread([3, 1, 2])) == "2.00 (1.00..3.00)"
    assert harness.shown(harness.spread([2]), 1, 10) == "20.0"
    assert harness.shown(None) == ""


def test_processor_time_is_refused_for_a_gpu():
    with pytest.raises(SystemExit, match="--clock cpu"):
        harness.settle(harness.parser("").parse_args(["--clock", "cpu", "--device", "cuda"]))


# --- the commands ----------------------------------------------------------------------------------------------------


def test_steps(tmp_path):
    variants = ("--variant", "plain=--economies no", "--variant", "wrong=--economie no")
    content = run(steps, tmp_path, "--models", "fastcut@32", "--no_memory", *variants, *NET)
    assert [(row["model"], row["variant"]) for row in content["rows"]] == [
        ("fastcut", variant) for variant in ("plain", "wrong", "originals'")
    ]
    rate = content["rates"]["float32"]["multiply_adds_per_second"]
    assert is_spread(rate)
    assert rate["n"] == 4
    plain, wrong, originals = content["rows"]
    assert originals["error"] is None
    assert originals["multiply_adds"] == originals["multiply_adds_original"]
    assert is_spread(originals["against_first"])
    assert "--economie" in wrong["error"]
    assert "seconds" not in wrong
    assert plain["error"] is None
    assert plain["multiply_adds"] == pytest.approx(plain["multiply_adds_original"], rel=0.01)
    assert is_spread(plain["over_floor"]["float32"]["own"])
    assert plain["against_first"]["min"] == plain["against_first"]["max"] == 1
    assert plain["images_per_second"]["max"] == pytest.approx(1 / plain["seconds"]["min"])
    assert plain["peak_memory"] is None


@pytest.mark.slow
def test_memory_of_steps_in_a_process_of_their_own(tmp_path):
    for row in run(steps, tmp_path, "--models", "cycle_gan@32", "--variant", "plain=", *TINY)["rows"]:
        assert row["error"] is None
        assert row["peak_memory"] > 1e6 or sys.platform != "linux"


def test_json_is_written_after_each_variant(tmp_path, monkeypatch):
    def build(case, words, options):
        if case.variant == "second":
            raise KeyboardInterrupt
        case.memory = 12345

    monkeypatch.setattr(steps, "build", build)
    variants = ("--variant", "first=", "--variant", "second=", "--no_memory", "--no_originals")
    with pytest.raises(KeyboardInterrupt):
        run(steps, tmp_path, "--models", "cycle_gan@32", *variants, *TINY)
    first, second = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert first["peak_memory"] == 12345
    assert second["peak_memory"] is None


def test_a_captured_step_counts_as_the_plain_step():
    setting, narrow = Setting("stargan", 64, 1), ["--g_conv_dim", "4", "--d_conv_dim", "4"]
    assert workload.count(setting, [*narrow, "--capture", "yes"]) == workload.count(setting, narrow) > 1e6


def test_every_step_after_the_warm_up_is_a_replay_with_capture_and_usual_runs_have_few_steps():
    training = workload.Training(Setting("cycle_gan", 32, 1), [*TINY, "--capture", "yes"], "cpu")
    training.warm_up()
    assert [kind.checked for kind in training.model.optimize_parameters.kinds.values()] == [True]
    training = workload.Training(Setting("cycle_gan", 32, 1), [*TINY], "cpu")
    training.warm_up()
    assert training.steps_done == 1


def test_predefined_variants_are_those_that_the_model_supports(tmp_path):
    content = run(steps, tmp_path, "--models", "cut@32", "--rounds", "0", *NET)
    own = [(row["variant"], row["multiply_adds"]) for row in content["rows"]]
    assert [name for name, _ in own] == ["default", "no economies", "originals'"]
    originals = content["rows"][0]["multiply_adds_original"]
    assert own[0][1] < own[1][1] == pytest.approx(originals, rel=0.01)


def test_a_variant_may_have_its_own_batch_size(tmp_path):
    variants = (
        "--variant",
        "one=",
        "--variant",
        "two=--batch_size 2",
        "--variant",
        "parts=--batch_size 2 --accumulate 2",
    )
    one, two, parts = run(
        steps, tmp_path, "--models", "pix2pix@256", "--rounds", "0", "--no_originals", *variants, *NET[:4]
    )["rows"]
    assert two["multiply_adds_original"] == 2 * one["multiply_adds_original"]
    assert parts["multiply_adds_original"] == 4 * one["multiply_adds_original"]
    # The discriminator is updated first, so the generator's pass is repeated for its own step.
    assert one["multiply_adds"] < two["multiply_adds"] < parts["multiply_adds"] / 2


def test_inference(tmp_path):
    words = ("--models", "cycle_gan@32", "pix2pix@32", "--batches", "1", "2", "--images", "3")
    rows = run(inference, tmp_path, *words, *NET)["rows"]
    assert [(row["model"], row["batch"]) for row in rows] == [
        (model, batch) for model in ("cycle_gan", "pix2pix") for batch in (1, 2)
    ]
    for row in rows:
        assert row["error"] is None
        assert is_spread(row["network_over_floor"]["float32"])
        assert is_spread(row["path_over_floor"]["float32"])
        assert row["multiply_adds"] > 0
    assert rows[0]["multiply_adds"] == rows[1]["multiply_adds"]


def test_feeding(tmp_path):
    [row] = run(feeding, tmp_path, "--models", "cycle_gan@32x2", "--workers", "0", "--batches", "2", *NET)["rows"]
    assert all(is_spread(row[key]) for key in ("loader", "step", "both", "both_over_step"))


def test_costs(tmp_path):
    [row] = run(costs, tmp_path, "--models", "cycle_gan@32", "--top", "5", *NET)["rows"]
    assert row["error"] is None
    spent = [each["seconds"] for each in row["top"]]
    assert len(spent) == 5
    assert spent == sorted(spent, reverse=True)
    assert 0 < sum(each["share"] for each in row["top"]) <= 1
    assert any("convolution" in each["name"] for each in row["top"])


def test_growth_of_files_and_epochs(tmp_path):
    words = ("--on", "files", "epochs", "--files", "20", "40", "--epochs", "1", "30")
    content = run(growth, tmp_path, *words)
    assert content["errors"] == {}
    files = [(row["files"], row["start"], row["seconds"]["n"]) for row in content["rows"] if row["part"] == "files"]
    assert files == [(20, "first", 1), (20, "again", 2), (40, "first", 1), (40, "again", 2)]
    sizes = {row["epochs"]: row["size"] for row in content["rows"] if row["part"] == "epochs"}
    [slope] = [each["slope"] for each in content["slopes"] if each["of"] == "size"]
    assert slope == pytest.approx((sizes[30] - sizes[1]) / 29 * 1000)


def test_a_failing_part_of_growth_does_not_stop_the_others(tmp_path, monkeypatch):
    def fails(options):
        raise OSError("disk full")

    monkeypatch.setitem(growth.PARTS, "files", fails)
    content = run(growth, tmp_path, "--on", "files", "epochs", "--epochs", "1", "10")
    assert content["errors"] == {"files": "OSError: disk full"}
    assert [row["epochs"] for row in content["rows"]] == [1, 10]


def test_importable_packages_are_printed_in_one_line(monkeypatch):
    line, enough = gather.imports()
    assert line.startswith(f"imported: torch {torch.__version__}, numpy")
    assert enough
    for name, still_enough in (("dominate", True), ("numpy", False)):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            line, enough = gather.imports()
        assert f"not imported: {name} (ModuleNotFoundError" in line
        assert enough is still_enough


def test_all_steps_in_one_table(tmp_path, capsys):
    row = {"model": "cut", "size": 256, "batch": 16, "variant": "bf16", "error": None, "idle": 0.25, "launches": 990.0}
    row |= {"seconds": harness.spread([0.020, 0.022, 0.025]), "host_seconds": 0.005, "layers_seconds": 0.011}
    row |= {"over_layers": harness.spread([2.0]), "peak_memory": 5e9, "images_per_second": harness.spread([727.0])}
    failed = {**{key: row[key] for key in ("model", "size", "batch")}, "variant": "fp16", "error": "RuntimeError: no"}
    failed["peak_memory"] = None
    parts = {"models": {"result": {"benchmark": "steps", "rows": [row, failed]}}, "data": {"result": None}}
    (tmp_path / "gpu.json").write_text(json.dumps({"parts": parts}))
    gather.print_table(tmp_path / "gpu.json")
    heads, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heads[-5:] == ["host", "ms", "idle", "MB", "images/s"]
    assert first == ["cut@256x16", "bf16", "22.00", "11.00", "2.00", "990", "5.00", "0.25", "5000", "727.0"]
    assert second == ["cut@256x16", "fp16", "RuntimeError:", "no"]


def gpu_script(tmp_path, **environment):
    out = tmp_path / "gpu.json"
    environment = {**os.environ, "TINY": "1", "PYTHON": sys.executable, **environment}
    done = subprocess.run(["bash", "benchmarks/gpu.sh", out], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("imported: torch")
    return json.loads(out.read_text())["parts"]


PARTS = ["cycle_gan", "costs", "models", "feeding", "inference", "growth", "startup"]


@pytest.mark.slow
def test_one_command_runs_all_parts(tmp_path):
    parts = gpu_script(tmp_path)
    assert list(parts) == PARTS
    assert all(part["exit_code"] == 0 and part["error"] is None for part in parts.values()), parts
    names = {name: part["result"]["benchmark"] for name, part in parts.items()}
    assert names == {**{name: name for name in PARTS}, "cycle_gan": "steps", "models": "steps"}
    grown = parts["growth"]["result"]
    assert grown["errors"] == {}
    assert [row["steps"] for row in grown["rows"] if row["part"] == "steps"] == [2, 4]
    for row in parts["startup"]["result"]["rows"]:
        assert row["error"] is None
        assert is_spread(row["over_import_torch"])


def test_parts_without_time_left_are_named(tmp_path):
    parts = gpu_script(tmp_path, BUDGET="0")
    assert list(parts) == PARTS
    assert all(part["result"] is None and "left out" in part["error"] for part in parts.values())


@pytest.mark.slow
def test_compiled_blocks_take_less_time_and_leave_fewer_operations(tmp_path):
    if compiling.why_not("cpu") is not None:
        pytest.skip(f"nothing can be compiled here: {compiling.why_not('cpu')}")
    content = run(compile_time, tmp_path, *TINY, "--models", "cycle_gan@32", "--rounds", "1", "--clock", "cpu")
    found = {row["variant"]: {name: row[name]["median"] for name in compile_time.DIGITS} for row in content["rows"]}
    assert found["default"]["graphs"] > found["blocks"]["graphs"] > found["none"]["graphs"] == 0
    assert found["default"]["compiling"] > found["blocks"]["compiling"] > found["none"]["compiling"]
    assert found["none"]["kernels"] == 0 < found["blocks"]["kernels"]
    assert found["blocks"]["operations"] < found["none"]["operations"]
