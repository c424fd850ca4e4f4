"""Start the processes of a run and join them to a process group.

``torchrun --nproc_per_node 4 train.py ...`` or launch() starts the processes; session() connects them. In a single
process the functions behave as with a world size of 1, without importing torch.
"""

import atexit
import contextlib
import datetime
import inspect
import os
import sys
import uuid
import warnings

from util.errors import InputError, Notice
from util.namespace import framework

# Signals that a job system may send, and the exit status with which the program answers each.
EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 0}

_size, _rank = 1, 0  # of the open session
_open = False
_restarted = False
_before_leaving: list = []  # functions to call before the processes of a finished run separate
_own_images, _all_images = 1, 1  # images of the current step: in this process, in all processes
_shapes_are_equal = None  # function: whether all processes have batches of one shape in this step; None: not compared


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
                f"process {failed} of {number} was killed by signal {-failure.exitcode}; continue the run with "
                "--continue_train"
            ) from None
        return failure.exitcode
    except SignalException as error:  # the processes received the signal too, and have saved
        return EXIT_CODES.get(error.sigval.name, 1)
    return 0


def leave(code):
    """Exit the program with an exit code.

    A process of a launcher exits right after its exit handlers: while Python destroys their objects, native threads of
    torch can abort the process, and the launcher would report a finished run as failed.
    """
    if launched():
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def world_size():
    """The number of processes of the run."""
    return _size


def rank():
    """The number of this process, for seeds and shares of the data. Work of one process goes through on_rank0()."""
    return _rank


def restarted():
    """Whether the launcher restarted the processes: because one died (--max_restarts), or because a machine joined."""
    return _restarted


def step_size(opt):
    """Images of a training step, over all processes and all parts of --accumulate."""
    return opt.batch_size * getattr(framework(opt), "accumulate", 1) * _size


def own_share(images):
    """(first, number): which images of a step this process takes. Shares are contiguous and differ by at most 1."""
    each, left = divmod(images, _size)
    return _rank * each + min(_rank, left), each + (_rank < left)


def set_step_images(own, everywhere):
    """Set the number of images of the current step in this process and in all; they give step_weight()."""
    global _own_images, _all_images
    _own_images, _all_images = own, everywhere
    set_shapes_are_equal(None)


def set_shapes_are_equal(answer):
    """Set the function that answers shapes_are_equal() until the next set_step_images()."""
    global _shapes_are_equal
    _shapes_are_equal = answer


def shapes_are_equal():
    """Whether the batches of the current step have the same shape in all processes; None if this is not known."""
    return None if _shapes_are_equal is None else _shapes_are_equal()


def step_weight():
    """The weight of this process in the current step: 1 / world size, except in the short last step of an epoch."""
    return _own_images / _all_images if _size > 1 else 1.0


def before_leaving(function):
    """Call function() at the end of session(), unless an error ends it: NCCL waits for graphs to be deleted."""
    if _size > 1:
        _before_leaving.append(function)


@contextlib.contextmanager
def session():
    """Join the other processes while the block runs: NCCL for tensors on GPUs, Gloo for all others.

    Only rank 0 prints. After an error the other ranks are not waited for, because they may never arrive. A nested
    session does nothing.
    """
    global _size, _rank, _open, _restarted
    if not launched() or _open:
        yield
        return
    import torch
    import torch.distributed as dist

    round_number, group_arguments = _join_round()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, **group_arguments)
    _size, _rank, _open = dist.get_world_size(), dist.get_rank(), True
    # The maximum: a machine that joined late, or whose processes did not die, has a lower count of restarts.
    restarts = torch.tensor([int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))])
    with explaining_lost_connections():
        dist.all_reduce(restarts, dist.ReduceOp.MAX)
    _restarted = int(restarts) > 0 or round_number > 1
    try:
        with _quiet_unless_rank0():
            yield
        while _before_leaving:
            _before_leaving.pop()()
        dist.destroy_process_group()
    except InputError as error:
        raise (InputError(f"process {_rank} of {_size}: {error}") if _rank else error) from None
    finally:
        if dist.is_initialized() and backend == "gloo":  # Gloo's threads could abort the program when it exits
            dist.destroy_process_group()
        _size, _rank, _open, _restarted = 1, 0, False, False


def _join_round():
    """(number of this round of processes, the arguments of init_process_group).

    After a restart, torchrun's store still holds the addresses of the former round. Machines notice the end of a round
    at different times and count rounds independently. So rank 0 numbers the rounds and answers the request of each
    rank with the number; all keys of a round are stored under its number. The request of a process that has died is
    answered in vain, and the request of its successor replaces it.
    """
    from torch.distributed import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    if rank == 0:
        number = store.add("rounds", 1)
        for other in range(1, size):
            _send_round(store, other, number)
    else:
        request = uuid.uuid4().hex
        store.set(f"request/{rank}", request)
        number = int(store.get(f"reply/{request}"))
        store.set(f"received/{number}/{rank}", "")
    return number, {"store": PrefixStore(f"round/{number}", store), "rank": rank, "world_size": size}


def _send_round(store, other, number):
    """Send the number of the round to another rank until that rank confirms it."""
    from torch.distributed import DistStoreError

    while True:
        request = store.get(f"request/{other}").decode()
        store.set(f"reply/{request}", str(number))
        with contextlib.suppress(DistStoreError):  # no confirmation within the time
            return store.wait([f"received/{number}/{other}"], datetime.timedelta(seconds=0.2))


@contextlib.contextmanager
def _quiet_unless_rank0():
    """Standard output and Notices of the other ranks are discarded; their errors and warnings (stderr) are kept."""
    if _rank == 0:
        yield
        return
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", Notice)
        yield


@contextlib.contextmanager
def explaining_lost_connections():
    """Turn a broken connection into an InputError: another process died, and this process lost its connection to it."""
    try:
        yield
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        raise InputError(
            f"the connection to another process of the run is lost ({str(error).splitlines()[0][:120]}); the output of "
            "the launcher names the process that died first"
        ) from None


# Words in the messages of Gloo, NCCL and torch's store about a process that cannot be reached.
LOST = ("gloo", "nccl", "connection", "socket", "peer", "broken pipe", "timed out", "timeout")


def _is_lost_connection(error):
    return any(sign in str(error).lower() for sign in LOST)
