"""What a training run shows: the console line, the loss log, the page of pictures, and the dashboards behind it.

Nothing here may stop a training: a file that can't be written costs one warning.
"""

import contextlib
import os
import sys

from tqdm import tqdm

from util.html import HTML
from util.show.log import LossLog, loss_line, loss_record
from util.show.results import clean_name, save_images
from util.util import save_image, tensor2im

__all__ = ["Visualizer", "save_images"]


class Visualizer:
    """Reports losses and pictures of a run; dashboards (``util.show.sinks``) get the same numbers and pictures.

    Training pages of the original family call two of the methods in two ways, told apart by their arguments.
    """

    def __init__(self, opt, images_seen=None):
        """`images_seen`: where a resumed run stands; what its log holds of later points will be made again."""
        self.opt = opt
        self.name = opt.name
        self.use_html = opt.isTrain and not opt.no_html
        self.win_size = opt.display_winsize
        self.saved = False  # pictures of this epoch are on the page
        self.current_epoch = 0
        self.dataset_size = None
        self.images_seen = images_seen  # of the whole run, as far as a caller has told
        self.sinks = []
        self._page = None
        self._troubles = set()
        self._keep_old_names(opt)
        run_dir = os.path.join(opt.checkpoints_dir, opt.name)
        self.log_name = os.path.join(run_dir, "loss_log.txt")
        self.web_dir = os.path.join(run_dir, "web")
        self.img_dir = os.path.join(self.web_dir, "images")
        if opt.isTrain:
            self._open(run_dir)

    def _open(self, run_dir):
        from util.show.sinks import open_sinks

        resumed = getattr(self.opt, "continue_train", False)
        self.log = LossLog(run_dir, resumed)
        if resumed and self.images_seen is not None:
            self.log.forget_after(self.images_seen)
        if self.use_html:
            self.say(f"create web directory {self.web_dir}...")
            title = f"Experiment name = {self.name}"
            self._page = HTML(self.web_dir, title, keep=resumed, newest_first=True)
        self.sinks = open_sinks(self.opt)

    def _keep_old_names(self, opt):
        """Attributes that code written for the originals may read; the dashboards look after themselves here."""
        self.display_id = getattr(opt, "display_id", None)
        self.port = getattr(opt, "display_port", None)
        self.ncols = getattr(opt, "display_ncols", 4)
        self.use_wandb = getattr(opt, "use_wandb", False)
        self.vis = self.wandb_run = None
        self.plot_data = {}

    def reset(self):
        """At the start of an epoch: its first pictures go to the page whatever save_result says."""
        self.saved = False

    def set_dataset_size(self, size):
        """Images in an epoch: places a printed point between two epochs on a plot."""
        self.dataset_size = size

    def create_visdom_connections(self):
        """The sinks connect, and connect again, by themselves."""

    def say(self, text):
        """Print a line without tearing a progress bar."""
        tqdm.write(text)
        sys.stdout.flush()

    def warn(self, text):
        """Say a line that must not be missed, and keep it in the loss log."""
        self.say(f"warning: {text}")
        with self._going_on("log", self.log_name):
            self.log.note(f"warning: {text}")

    def display_current_results(self, visuals, epoch, *rest, total_iters=None, save_result=False):
        """Pictures of this moment: ``(visuals, epoch, save_result)`` or ``(visuals, epoch, total_iters, save_result)``.

        They go to the dashboards, and to the page if `save_result` or if this epoch has none there yet.
        """
        for value in rest:
            if isinstance(value, bool):
                save_result = value
            else:
                total_iters = value
        self.current_epoch = epoch
        self._saw(total_iters)
        pictures = {label: tensor2im(visual) for label, visual in visuals.items()}
        for sink in self.sinks:
            sink.images(self._step(epoch), pictures)
        if self.use_html and (save_result or not self.saved):
            self.saved = True
            self._to_page(epoch, pictures)

    def plot_current_losses(self, *args, total_iters=None):
        """Losses for the dashboards: ``(epoch, counter_ratio, losses)`` or ``(total_iters, losses)``."""
        if len(args) == 2:
            self._saw(args[0])
            x = 1 + args[0] / self.dataset_size if self.dataset_size else self.current_epoch
        else:
            self._saw(total_iters)
            self.current_epoch, x = args[0], args[0] + float(args[1])
        for sink in self.sinks:
            sink.scalars(self._step(x), args[-1], x)

    def print_current_losses(self, epoch, iters, losses, t_comp, t_data, images=None):
        """Print the line of a point and log it; `images` counts those of the whole run, `iters` those of the epoch."""
        self.current_epoch = epoch
        self._saw(images)
        line = loss_line(epoch, iters, losses, t_comp, t_data)
        self.say(line)
        with self._going_on("log", self.log_name):
            self.log.write(line, loss_record(epoch, iters, losses, t_comp, t_data, images, self.dataset_size))

    def close(self):
        for sink in self.sinks:
            sink.close()
        self.sinks = []

    def _to_page(self, epoch, pictures):
        written = {}
        for label, picture in pictures.items():
            name = f"epoch{epoch:03d}_{clean_name(label)}.png"
            path = os.path.join(self.img_dir, name)
            with self._going_on("picture", path):
                save_image(picture, path)
                written[label] = name
        if written:
            labels, names = list(written), list(written.values())
            with self._going_on("page", self._page.path):
                header, key = f"epoch [{epoch}]", f"epoch{epoch}"
                self._page.add_section(header, names, labels, names, width=self.win_size, key=key)

    @contextlib.contextmanager
    def _going_on(self, kind, path):
        """A failing disk is told once; the next time only after it worked in between."""
        try:
            yield
            self._troubles.discard(kind)
        except OSError as error:
            if kind not in self._troubles:
                self._troubles.add(kind)
                self.say(f"warning: {path}: can't be written ({error.strerror or error}); training goes on")

    def _saw(self, images):
        if images is not None:
            self.images_seen = images

    def _step(self, x):
        """What dashboards count in: images seen, or thousandths of an epoch where nobody has said how many."""
        return self.images_seen if self.images_seen is not None else round(x * 1000)
