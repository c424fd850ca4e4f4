"""Operations that a training step launches on a GPU, counted without a GPU (see fake_cuda.py).

At 256 pixels and batch 1 a step is bound by launches: each costs the host some 5 microseconds, whatever its size. The
counts don't depend on the width of the networks. "plain" is the step without economies, as the originals make it.
"""

import argparse

import fake_cuda
import harness
import workload

PLAIN = ("plain", ["--economies", "no"])
OWN = ("own", [])


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(workload.MODELS), metavar="NAME@SIZExBATCH")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=FLAGS", help="further settings")
    parser.add_argument("--most", type=int, default=0, help="also list this many of the most frequent operations")
    args, flags = parser.parse_known_args(words)
    variants = [PLAIN, OWN, *workload.variants(args.variant)]
    lines = []
    for text in args.models:
        setting = workload.Setting.parse(text)
        found = {name: count(setting, [*own, *flags]) for name, own in variants}
        lines.append([str(setting), *(str(counter.total) for counter in found.values())])
        if args.most:
            print(f"{setting}: " + ", ".join(f"{name} {n}" for name, n in found["own"].counts.most_common(args.most)))
    harness.table(["model", *(name for name, _ in variants)], lines)


def count(setting, words, before=2):
    """The Launches of one step of the model of a command line, after `before` other steps; raises HostRead.

    A narrow network launches as many operations as a wide network.
    """
    names = workload.flags_of(setting.model)
    widths = ("g_conv_dim", "d_conv_dim") if "d_conv_dim" in names else ("ngf", "ndf")
    narrow = [word for flag in widths for word in (f"--{flag}", "4")]
    if "economies" not in names:
        words = workload.picked(words, lambda flag: flag != "economies")
    training = workload.Training(setting, [*narrow, *words], "cpu")
    with fake_cuda.fake_cuda():
        fake_cuda.move(training.model)
        training.batch = fake_cuda.batch_like(training.batch)
        for _ in range(before):
            training.step()
        with fake_cuda.Launches() as counter:
            training.step()
    return counter


if __name__ == "__main__":
    main()
