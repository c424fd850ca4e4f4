"""Weights & Biases: curves over the images seen, images under results/."""

import os
from argparse import Namespace

import wandb

from util.errors import InputError
from util.show.sinks.pictures import as_rgb

PLAIN = (bool, int, float, str, list, type(None))


class WandbSink:
    """A wandb run, whose id is stored in the folder of the training run and reused by --continue_train."""

    def __init__(self, opt: Namespace):
        folder = os.path.join(opt.checkpoints_dir, opt.name)
        os.makedirs(folder, exist_ok=True)
        note = os.path.join(folder, "wandb_id.txt")
        known = None
        if opt.continue_train and os.path.exists(note):
            with open(note) as file:
                known = file.read().strip()
        try:
            self.run = wandb.init(
                project=opt.wandb_project_name,
                name=opt.name,
                config={name: value if isinstance(value, PLAIN) else str(value) for name, value in vars(opt).items()},
                dir=folder,
                id=known,
                resume="allow" if known else None,
            )
        except wandb.Error as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"--use_wandb: {reason} (run `wandb login`, or set WANDB_MODE=offline)") from None
        with open(note, "w") as file:
            file.write(self.run.id)
        # A separate axis, because wandb's own step cannot decrease, as it may in a resumed run.
        self.run.define_metric("*", step_metric="images_seen")

    def scalars(self, step, values, epoch):
        self.run.log({**values, "epoch": epoch, "images_seen": step})

    def images(self, step, visuals):
        pictures = {f"results/{name}": wandb.Image(as_rgb(picture), caption=name) for name, picture in visuals.items()}
        self.run.log({**pictures, "images_seen": step})

    def close(self):
        self.run.finish()
