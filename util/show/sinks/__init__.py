"""Live dashboards: where the numbers and pictures of a run go besides the console, the log and the page.

A sink has three methods, which return at once and never stop a run:

    scalars(step, values, epoch)    step: images seen, an int; values: {name: float}; epoch: position as a float,
                                    2.25 being a quarter of the way through epoch 2
    images(step, visuals)           visuals: {name: uint8 array (H, W, C) or (H, W)}, of any sizes
    close()                         waits a moment for what is still under way; called once, at the end
"""

import importlib.util
import sys
import zlib

from util.errors import InputError


def open_sinks(opt):
    """The sinks that the options ask for. Open them before the run writes to its loss_log.jsonl: what stands in it
    by then is the run's past, which the curves continue."""
    sinks = []
    display_id = getattr(opt, "display_id", -1)
    if display_id is None or display_id > 0:
        sinks += _open_visdom(opt, display_id)
    if getattr(opt, "use_wandb", False):
        _require("wandb", "--use_wandb")
        from util.show.sinks.wandb_sink import WandbSink

        sinks.append(Guarded(WandbSink(opt)))
    if getattr(opt, "use_tensorboard", False):
        _require("tensorboard", "--use_tensorboard")
        from util.show.sinks.tensorboard_sink import TensorboardSink

        sinks.append(Guarded(TensorboardSink(opt)))
    return sinks


def window_base(name):
    """The first visdom window of a run: from its name alone, so that a resumed run finds its windows again."""
    return (zlib.crc32(name.encode()) % 99_999 + 1) * 10  # 10, 20 ... 999990: room for nine more, never 0


def _open_visdom(opt, display_id):
    if display_id is None and importlib.util.find_spec("visdom") is None:
        # Nobody asked for the dashboard by name, so a run does without it.
        print("visdom: not installed, so there is no live dashboard (pip install -r requirements.txt)", file=sys.stderr)
        return []
    _require("visdom", "--display_id")
    from util.show.sinks.visdom_sink import VisdomSink

    return [Guarded(VisdomSink(opt, display_id or window_base(opt.name)))]


def _require(package, flag):
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{flag} needs the package {package}, which is not installed: pip install {package}")


class Guarded:
    """A sink whose first failure is said in one line and ends it, instead of the run."""

    def __init__(self, sink):
        self.sink = sink

    def scalars(self, step, values, epoch):
        self._call("scalars", step, values, epoch)

    def images(self, step, visuals):
        self._call("images", step, visuals)

    def close(self):
        self._call("close")
        self.sink = None

    def _call(self, method, *args):
        if self.sink is None:
            return
        try:
            getattr(self.sink, method)(*args)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"{type(self.sink).__name__} failed and is off from here on: {reason}", file=sys.stderr)
            self.sink = None
