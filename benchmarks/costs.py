"""The operations that take most of the time of a training step, by torch's profiler.

    python benchmarks/costs.py --models cycle_gan@256 dclgan@256 --variant plain= --variant "fast=--precision bf16"

On CUDA the operations are kernels, and the busy time of the device is shown, too; on a CPU they are operators. Figures
are means over the profiled steps.
"""

import harness
import workload
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from workload import Setting, Training

NAME = 110  # characters of a kernel's name that are kept: the rest are its template's arguments


def costs(training, steps, clock, on_gpu):
    """(seconds per step, [{name, calls, seconds} per step], largest first), from a profile of `steps` steps."""
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]
    with profile(activities=activities) as profiler:
        seconds = clock.seconds(lambda: training.steps(steps))
    found = []
    for event in profiler.key_averages():
        if on_gpu == (event.device_type == DeviceType.CUDA):
            spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            found.append({"name": event.key[:NAME], "calls": event.count / steps, "seconds": spent / steps / 1e6})
    return seconds / steps, sorted(found, key=lambda each: -each["seconds"])


def measure(setting, variant, words, more, options):
    row = {"model": str(setting), "variant": variant, "words": " ".join(words), "error": None}
    on_gpu = options.device.startswith("cuda")
    clock = harness.Clock(options)
    try:
        training = Training(setting, [*more, *words], options.device)
        training.warm_up()
        steps = training.whole_cycles(options.steps)
        unprofiled = clock.seconds(lambda: training.steps(steps)) / steps
        profiled, found = costs(training, steps, clock, on_gpu)
    except Exception as error:
        return {**row, "error": harness.reason(error)}
    busy = sum(each["seconds"] for each in found)
    top = [{**each, "share": each["seconds"] / busy} for each in found[: options.top]]
    calls = sum(each["calls"] for each in found)
    return {**row, "seconds": unprofiled, "seconds_profiled": profiled, "busy": busy, "calls": calls, "top": top}


def show(row):
    print(f"\n{row['model']} {row['variant']}")
    if row["error"]:
        print(row["error"])
        return
    print(f"{row['seconds'] * 1e3:.2f} ms a step; {row['busy'] * 1e3:.2f} ms in {row['calls']:.0f} calls")
    cells = [[each["name"], f"{each['calls']:.0f}", f"{each['seconds'] * 1e3:.3f}"] for each in row["top"]]
    shares = [f"{each['share']:.1%}" for each in row["top"]]
    harness.table(["", "calls", "ms", "share"], [[*line, share] for line, share in zip(cells, shares)])


def main(words=None):
    parser = harness.parser(__doc__)
    defaults = [Setting.parse(name) for name in ("cycle_gan", "dclgan")]
    parser.add_argument("--models", nargs="+", type=Setting.parse, default=defaults)
    parser.add_argument("--variant", action="append", metavar="NAME=FLAGS", help="again for more")
    parser.add_argument("--steps", type=int, default=1, help="that are profiled")
    parser.add_argument("--top", type=int, default=10)
    options, more = parser.parse_known_args(words)
    harness.settle(options)
    rows = []
    for setting in options.models:
        for variant in workload.variants(options.variant or ["default="]):
            rows.append(measure(setting, *variant, more, options))
            harness.report("costs", options, rows)
    harness.say_machine(options)
    for row in rows:
        show(row)
    return harness.report("costs", options, rows)


if __name__ == "__main__":
    main()
