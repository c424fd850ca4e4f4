"""Small trainings in two processes, started by torchrun; the results go to a file that the tests read."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import torch
from cases import (
    CAPTURED,
    EQUAL,
    EXCHANGES,
    IN_PARTS,
    MIXED,
    ROOT,
    build,
    counted_collectives,
    frozen,
    parameters,
    same_draws_for_every_image,
    steps,
)

import data
import models
import train
from models import captured_step
from util.errors import InputError
from util.image_pool import ImagePool
from util.processes import distributed, gradients
from util.run import running

PLUGINS = ROOT / "tests" / "plugins"


def alike(values):
    """Whether all processes hold the same tensors, bit for bit."""
    everywhere = distributed.gather({name: value.numpy().tobytes() for name, value in values.items()})
    return all(each == everywhere[0] for each in everywhere)


def own(images):
    first, number = distributed.own_share(images)
    return slice(first, first + number)


def after_five_steps(found):
    with same_draws_for_every_image():
        for name, words in EQUAL.items():
            model = build(words, 1)
            steps(model, own(2), 2)
            found[f"equal/{name}"] = parameters(model), alike(parameters(model))
        for name in IN_PARTS:
            model = build([*EQUAL[name], "--accumulate", "2"], 1)
            steps(model, own(4), 4)
            found[f"parts/{name}"] = parameters(model), alike(parameters(model))
        for name in ("cycle_gan", "dclgan", "stargan"):
            model = build(EQUAL[name], 2)
            steps(model, own(3), 3)
            found[f"short step/{name}"] = parameters(model), alike(parameters(model))
        model = frozen(build(EQUAL["template"], 1))
        steps(model, own(2), 2)
        found["frozen layer/template"] = parameters(model), alike(parameters(model))
        # One image for two processes: the other gets it too, with a count of 0.
        model = build(EQUAL["template"], 1)
        steps(model, slice(0, 1), 1, counted=own(1))
        found["one image/template"] = parameters(model), alike(parameters(model))


def exchanges_of_a_step(found):
    for name in EXCHANGES:
        model = build(EQUAL[name], 1)
        steps(model, own(2), 2, count=1)
        with counted_collectives() as calls:
            steps(model, own(2), 2, count=1)
        found[f"exchanges/{name}"] = dict(calls)


def gradients_are_pieces(found):
    """Of the flat tensors that are exchanged; in the memory layout of the parameters."""
    model = build([*EQUAL["template"], "--channels_last"], 1)
    steps(model, own(2), 2, count=2)
    flats = [bucket.flat for each in model._gradient_means._made.values() for bucket in each.buckets]
    memory = {flat.untyped_storage().data_ptr() for flat in flats}
    pairs = [(p, p.grad) for p in model.netG.parameters()]
    found["pieces"] = all(gradient.untyped_storage().data_ptr() in memory for _, gradient in pairs)
    found["strides"] = all(gradient.stride() == p.stride() for p, gradient in pairs)


def unused_in_one_process(found):
    """A gradient that one process alone has counts; a parameter without any gradient has none afterwards."""
    first, second, third = (torch.nn.Parameter(torch.ones(3)) for _ in range(3))
    optimizer = torch.optim.SGD([first, second, third])
    distributed.set_step_images(1, 2)
    averaging = gradients.GradientMeans().of([optimizer])
    loss = first.sum() if distributed.rank() == 0 else 3 * (first + second).sum()
    averaging.arm(loss.detach())
    loss.backward()
    mean = averaging.finish(loss.detach())
    found["unused"] = first.grad.tolist(), second.grad.tolist(), third.grad, float(mean)


def compressed(found):
    """Gradients that travel in bfloat16."""
    weight = torch.nn.Parameter(torch.ones(2))
    distributed.set_step_images(1, 2)
    averaging = gradients.GradientMeans(compress=True).of([torch.optim.SGD([weight])])
    weight.grad = torch.tensor([1.0 + 2**-7, 1.0 + 2**-12])  # the second needs more bits than bfloat16 has
    averaging.finish()
    model = build([*EQUAL["cycle_gan"], "--compress_gradients"], 1, double=False)
    steps(model, own(2), 2)
    found["compressed"] = weight.grad.tolist(), alike(parameters(model)), parameters(model)


def refused_closures(found):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.LBFGS([weight])
    with gradients.before_every_step():
        try:
            optimizer.step(lambda: weight.sum())
        except InputError as error:
            found["closure"] = str(error)


def captured(found):
    """--capture with calls instead of replays; in one step the processes have different numbers of images."""
    captured_step.WARM_UP = 1
    for name, words in CAPTURED.items():
        models_made = [build([*words, *more], 2, double=False) for more in ([], ["--capture", "yes"])]
        images = 4 * models_made[0].opt.accumulate
        for model in models_made:
            steps(model, own(images), images, count=5 if name == "stargan" else 2)
            steps(model, own(images - 1), images - 1, count=1)
            steps(model, own(images), images, count=3)
        plain, other = map(parameters, models_made)
        step = models_made[1].optimize_parameters
        checked = not step.off and [kind.checked for kind in step.kinds.values()]
        found[f"captured/{name}"] = all(torch.equal(plain[key], other[key]) for key in plain), alike(other), checked


def graphs_given_up(found):
    """In one process the step can't be captured, in the next model a replay differs there."""
    for number, fault in enumerate((fails_to_capture, replays_differ)):
        model = build([*EQUAL["pix2pix"], "--capture", "yes"], 1)
        step = model.optimize_parameters
        if distributed.rank() == 1:
            fault(model, step.graphs)
        steps(model, own(2), 2, count=6)
        found[f"given up/{number}"] = distributed.gather((step.off, step.kinds)), alike(parameters(model))


def fails_to_capture(model, graphs):
    def capture(function):
        raise RuntimeError("not here")

    graphs.capture = capture


def replays_differ(model, graphs):
    def capture(function):
        def replay():
            outcome = function()
            with torch.no_grad():
                next(model.netG.parameters()).add_(1)
            return outcome

        return replay

    graphs.capture = capture


def after_fifty_steps(found):
    for name, words in MIXED.items():
        model = build(words, 2, double=False)
        steps(model, own(4), 4, count=50)
        pools = [pool.images for pool in vars(model).values() if isinstance(pool, ImagePool)]
        drawn = sum(float(image.sum()) for images in pools for image in images)
        found[f"fifty/{name}"] = alike(parameters(model)), distributed.gather(drawn)


def whole_programs(found, folder):
    """train.py with a signal to one of the processes, and without."""
    words = [
        *("--model", "cycle_gan", "--netG", "resnet_4blocks", "--ngf", "4", "--ndf", "4", "--load_size", "36"),
        *("--crop_size", "32", "--n_epochs", "2", "--n_epochs_decay", "1", "--display_id", "0", "--print_freq", "2"),
        *("--display_freq", "2", "--pool_size", "3", "--seed", "3", "--num_threads", "0", "--device", "cpu"),
        *("--dataroot", str(folder / "photos"), "--checkpoints_dir", str(folder / "runs")),
        *("--eval_freq", "7", "--eval_metrics", "l1,edges", "--eval_max_images", "5", "--best_metric", "edges"),
    ]
    codes = [train.main([*words, "--name", "straight"])]
    original = running.Stop.requested
    asked = []

    def requested(self):
        asked.append(True)
        if len(asked) == 4 and distributed.rank() == 1:  # in the middle of the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    running.Stop.requested = requested
    codes.append(train.main([*words, "--name", "broken"]))
    running.Stop.requested = original
    found["stopped"] = distributed.gather((codes, len(asked)))
    distributed.on_rank0(lambda: (folder / "runs/broken").rename(folder / "runs/stopped"))
    again = ["--dataroot", str(folder / "photos"), "--checkpoints_dir", str(folder / "runs"), "--device", "cpu"]
    distributed.on_rank0(lambda: os.system(f"cp -r {folder}/runs/stopped {folder}/runs/continued") and None)
    train.main([*again, "--name", "continued", "--continue_train"])


def plug_ins(found, folder):
    models.__path__.append(str(PLUGINS / "models"))
    data.__path__.append(str(PLUGINS / "data"))
    made = {}
    create = models.create_model

    def keep(opt):
        made["model"] = create(opt)
        return made["model"]

    train.create_model = keep
    small = (
        "--ngf 4 --ndf 4 --load_size 36 --crop_size 32 --n_epochs 1 --n_epochs_decay 1 --display_id 0 --print_freq 1 "
        "--num_threads 0 --device cpu"
    ).split()
    for style in ("k_style", "u_style", "c_style", "cut_style"):
        where = ["--dataroot", str(folder / "photos"), "--checkpoints_dir", str(folder / "runs"), "--name", style]
        train.main([*where, "--model", style, *small])
        found[f"plug-in/{style}"] = alike(parameters(made["model"]))


def main(folder):
    found = {}
    with distributed.session():
        after_five_steps(found)
        exchanges_of_a_step(found)
        gradients_are_pieces(found)
        unused_in_one_process(found)
        compressed(found)
        refused_closures(found)
        captured(found)
        graphs_given_up(found)
        after_fifty_steps(found)
        whole_programs(found, folder)
        plug_ins(found, folder)
        distributed.on_rank0(lambda: torch.save(found, folder / "found.pth"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
