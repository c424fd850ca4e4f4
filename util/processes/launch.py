"""Start several processes on this machine, and find out whether a launcher such as torchrun started this process."""

import inspect
import os
import uuid

from util.errors import InputError

# Signals that a job system may send, and the exit status with which the program answers each.
EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 0}


def launched():
    """Whether torchrun, or a launcher that sets the same environment variables, started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launched_several():
    return launched() and int(os.environ["WORLD_SIZE"]) > 1


def local_rank():
    """The number of the process on its own machine, or None if no launcher started it."""
    return int(os.environ.get("LOCAL_RANK", "0")) if launched() else None


def launch(number, command):
    """Run a command line in `number` processes on this machine by torch's launcher; returns the exit code."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    known = inspect.signature(LaunchConfig).parameters
    signals = {"signals_to_handle": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"} if "signals_to_handle" in known else {}
    config = LaunchConfig(
        **{"min_nodes": 1, "max_nodes": 1, "nproc_per_node": number, "max_restarts": 0, "run_id": uuid.uuid4().hex},
        **{"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "monitor_interval": 0.1, **signals},
    )
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does: the processes share the cores
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:  # the process has printed its error already
        failed, failure = error.get_first_failure()
        if failure.exitcode < 0:
            raise InputError(
                f"process {failed} of {number} was killed by signal {-failure.exitcode}; --continue_train goes on"
            ) from None
        return failure.exitcode
    except SignalException as error:  # the processes received the signal too, and have saved
        return EXIT_CODES.get(error.sigval.name, 1)
    return 0
