"""Draw the visdom dashboard of a run again from its logs, for a finished run or a restarted server.

    python scripts/replay_visdom.py checkpoints/horses

Curves come from loss_log.jsonl and metrics.jsonl, the newest pictures from the web/ folder of the run.
"""

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.flags import Int
from util.show.run_pages import newest_pictures
from util.show.sinks import window_base
from util.show.training_page import read_records

PATIENCE = 90  # seconds until the dashboard must be drawn; includes the start of a server


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Draw the visdom dashboard of a run again from its logs."
    parser.add_argument("run", help="folder of the run, such as checkpoints/horses")
    parser.add_argument("--display_server", default="http://localhost", help="address of the visdom server")
    parser.add_argument("--display_port", type=Int(1, 65535), default=8097, help="port of the visdom server")
    parser.add_argument("--display_env", help="visdom environment (none given: the run's name)")
    parser.add_argument("--display_ncols", type=int, default=4, help="pictures per row; 0 = a window each")
    return parser.parse_args(command_line)


def draw(sink):
    """Send everything; returns whether the server has received it."""
    from util.show.sinks.visdom_sink import Sender

    sender, end = Sender(sink), time.monotonic() + PATIENCE
    sink.news.set()
    while sink.news.is_set() and time.monotonic() < end:
        time.sleep(min(1.0, max(0.0, sender.attempt() - time.monotonic())))
    return not sink.news.is_set()


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    folder = os.path.abspath(options.run)
    if not read_records(os.path.join(folder, "loss_log.jsonl")):
        raise InputError(f"{options.run}: there is no loss_log.jsonl with losses in it; give the folder of a run")
    if importlib.util.find_spec("visdom") is None:
        raise InputError("replay_visdom.py needs the package visdom: pip install visdom")
    from util.show.sinks.visdom_sink import VisdomSink

    checkpoints_dir, name = os.path.split(folder)
    opt = argparse.Namespace(**vars(options), checkpoints_dir=checkpoints_dir, name=name)
    sink = VisdomSink(opt, window_base(name))
    sink.visuals, sink.fixed = newest_pictures(folder)
    if not draw(sink):
        raise InputError(f"{sink.address.url}: no visdom server received the dashboard within {PATIENCE} seconds")
    print(f"the dashboard of '{name}' is drawn")
    return 0


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
