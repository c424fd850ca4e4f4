"""TensorBoard event files in the folder of the run: tensorboard --logdir checkpoints."""

import os

from torch.utils.tensorboard import SummaryWriter

from util.show.sinks.pictures import as_rgb


class TensorboardSink:
    def __init__(self, opt):
        self.folder = os.path.join(opt.checkpoints_dir, opt.name, "tensorboard")
        self.writer = None

    def scalars(self, step, values, epoch):
        writer = self._writer(step)
        for name, value in values.items():
            writer.add_scalar(f"loss/{name}", value, step)
        writer.add_scalar("epoch", epoch, step)

    def images(self, step, visuals):
        writer = self._writer(step)
        for name, picture in visuals.items():
            writer.add_image(name, as_rgb(picture), step, dataformats="HWC")

    def close(self):
        if self.writer is not None:
            self.writer.close()

    def _writer(self, step):
        # Opened at the first known step, so that events of a resumed run after its checkpoint are hidden (purge_step).
        if self.writer is None:
            self.writer = SummaryWriter(self.folder, purge_step=step)
        return self.writer
