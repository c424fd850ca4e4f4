"""One run in many processes: the only file that knows torch.distributed, and that asks for a rank.

``torchrun --nproc_per_node 4 train.py ...`` starts the processes; session() joins them. Everything here also answers
where there is one process alone, without importing torch, so that nobody else has to tell the cases apart. Functions
marked "collective" must be called by all processes, in the same order.
"""

import contextlib
import datetime
import inspect
import os
import uuid

from util.errors import InputError

# What a job system may send, and the exit status that tells it what happened.
EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 0}

_size, _rank = 1, 0  # of the session that is open
_open = False
_restarted = False
_own, _all = 1, 1  # images of the running step, here and everywhere


def launched():
    """Whether torchrun, or what speaks like it, started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launched_several():
    return launched() and int(os.environ["WORLD_SIZE"]) > 1


def restarted():
    """Whether the launcher has started the processes anew: one of them died (--max_restarts), or a machine came."""
    return _restarted


def launch(number, command):
    """Run a command line in so many processes on this machine by torch's launcher; returns what to exit with."""
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
    except ChildFailedError as error:  # it has said what was wrong
        failed, failure = error.get_first_failure()
        if failure.exitcode < 0:
            raise InputError(
                f"process {failed} of {number} was killed by signal {-failure.exitcode}; --continue_train goes on"
            ) from None
        return failure.exitcode
    except SignalException as error:  # the processes were told, and have saved
        return EXIT_CODES.get(error.sigval.name, 1)
    return 0


def local_rank():
    """The process's number on its own machine, or None where nobody launched it."""
    return int(os.environ.get("LOCAL_RANK", "0")) if launched() else None


def processes():
    """How many processes the run has."""
    return _size


def rank():
    """The number of this one, for seeds and shares of the data. What one process does for all is first_does()'s."""
    return _rank


def step_size(opt):
    """Images of a training step, over all processes and all parts of --accumulate."""
    return opt.batch_size * getattr(opt, "accumulate", 1) * _size


def share(images):
    """(first, number) of this process's images, out of those of one step: neighbours, as even as can be."""
    each, left = divmod(images, _size)
    return _rank * each + min(_rank, left), each + (_rank < left)


def weigh(own, everywhere):
    """How many images of the running step are this process's: so much its gradients and losses count."""
    global _own, _all
    _own, _all = own, everywhere


def weight():
    """This process's part in the running step; 1/processes() but for the short last step of an epoch."""
    return _own / _all if _size > 1 else 1.0


@contextlib.contextmanager
def session():
    """Join the other processes while the block runs: NCCL for tensors on GPUs, Gloo for all others.

    Only the first process prints. After an error the others are not waited for: they may never come. Within a session
    another one is the same.
    """
    global _size, _rank, _open, _restarted
    if not launched() or _open:
        yield
        return
    import torch
    import torch.distributed as dist

    round_number, meeting_place = _meet()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, **meeting_place)
    _size, _rank, _open = dist.get_world_size(), dist.get_rank(), True
    # A machine that came late, or whose processes all live, has a count of its own.
    _restarted = largest(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))) > 0 or round_number > 1
    try:
        with _quiet_unless_first():
            yield
        dist.destroy_process_group()
    except InputError as error:
        raise (InputError(f"process {_rank} of {_size}: {error}") if _rank else error) from None
    finally:
        if dist.is_initialized() and backend == "gloo":  # left to the end of the program its threads may abort it
            dist.destroy_process_group()
        _size, _rank, _open, _restarted = 1, 0, False, False


def _meet():
    """(number of this round of processes, what they need to find each other).

    torchrun's store still has the addresses of an earlier round, whose end machines notice one by one and count each by
    itself. So the first process numbers the rounds, and answers those that ask it for the number, under which all keys
    go. A question may be that of a dead process: nobody hears its answer, and the living one's takes its place.
    """
    from torch.distributed import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    if rank == 0:
        number = store.add("rounds", 1)
        for other in range(1, size):
            _answer(store, other, number)
    else:
        question = uuid.uuid4().hex
        store.set(f"question/{rank}", question)
        number = int(store.get(f"answer/{question}"))
        store.set(f"heard/{number}/{rank}", "")
    return number, {"store": PrefixStore(f"round/{number}", store), "rank": rank, "world_size": size}


def _answer(store, other, number):
    """Say the number to another process, until it has heard it."""
    from torch.distributed import DistStoreError

    while True:
        question = store.get(f"question/{other}").decode()
        store.set(f"answer/{question}", str(number))
        with contextlib.suppress(DistStoreError):  # so long nobody has
            return store.wait([f"heard/{number}/{other}"], datetime.timedelta(seconds=0.2))


@contextlib.contextmanager
def _quiet_unless_first():
    """Errors and warnings (stderr) are still heard of all."""
    if _rank == 0:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


# --- what one process does for all -----------------------------------------------------------------------------------


def first_does(function):
    """What function() returns in the first process, which alone runs it, for all. Collective.

    An InputError there ends all of them, and is said once. The value travels by pickle, between our own processes.
    """
    if _size == 1:
        return function()
    answer = None
    if _rank == 0:
        try:
            answer = function(), None
        except InputError as error:
            answer = None, error
    value, refusal = _broadcast(answer)
    if refusal is not None:
        raise in_unison(refusal)
    return value


def together(function):
    """What function() returns in each process for itself; an InputError in any ends all, said once. Collective."""
    if _size == 1:
        return function()
    value = error = None
    try:
        value = function()
    except InputError as raised:
        error = raised
    errors = gather(error)
    found = [(number, each) for number, each in enumerate(errors) if each is not None]
    if not found:
        return value
    number, error = found[0]
    raise in_unison(error if number == 0 else InputError(f"process {number} of {_size}: {error}"))


def in_unison(error):
    """What to raise for an InputError that all processes meet at once: the first says it, the others leave quietly."""
    return error if _rank == 0 else SystemExit(2)


@contextlib.contextmanager
def held_by_first(manager):
    """A context that the first process alone enters; where it can't, all end."""
    with contextlib.ExitStack() as stack:
        first_does(lambda: stack.enter_context(manager) and None)
        yield


class Absent:
    """Stands in another process for an object that only the first has: takes every call, does nothing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


def only_first(make):
    """make() in the first process, Absent in the others."""
    return make() if _rank == 0 else Absent()


# --- agreeing --------------------------------------------------------------------------------------------------------


def agreed(value):
    """The first process's value. Collective."""
    return value if _size == 1 else _broadcast(value)


def gather(value):
    """The values of all processes in a list, everywhere. Collective; travels by pickle."""
    if _size == 1:
        return [value]
    import torch.distributed as dist

    values = [None] * _size
    with naming_the_lost():
        dist.all_gather_object(values, value)
    return values


def gather_at_first(value):
    """The values of all processes in a list, in the first; an empty one elsewhere. Collective; travels by pickle."""
    if _size == 1:
        return [value]
    import torch.distributed as dist

    values = [None] * _size if _rank == 0 else None
    with naming_the_lost():
        dist.gather_object(value, values)
    return values or []


def largest(number):
    """The largest of the processes' small integers. Collective; a fraction of a millisecond, and no GPU waits."""
    if _size == 1:
        return number
    import torch
    import torch.distributed as dist

    numbers = torch.tensor([number])
    with naming_the_lost():
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return int(numbers)


def totals(numbers):
    """A list of integers, each added up over the processes. Collective, as fast as largest()."""
    if _size == 1:
        return numbers
    import torch
    import torch.distributed as dist

    numbers = torch.tensor(numbers)
    with naming_the_lost():
        dist.all_reduce(numbers)
    return numbers.tolist()


def sums(values):
    """Dictionaries of numbers added up over the processes, name by name. Collective."""
    if _size == 1:
        return values
    total = {}
    for own in gather(values):
        for name, value in own.items():
            total[name] = total.get(name, 0) + value
    return total


# --- tensors ---------------------------------------------------------------------------------------------------------


def broadcast_tensors(tensors):
    """Overwrite them with the first process's. Collective."""
    if _size == 1:
        return
    import torch.distributed as dist

    with naming_the_lost():
        for tensor in tensors:
            whole = tensor.contiguous()
            dist.broadcast(whole, 0)
            if whole is not tensor:
                tensor.copy_(whole)


def mean(tensor):
    """A tensor's mean over the images of the step, each process counting as weight() says. Collective."""
    if _size == 1:
        return tensor
    tensor = tensor.detach() * weight()
    start_sum(tensor).wait()
    return tensor


def start_sum(tensor):
    """Begin to add up a tensor over the processes, in place; call wait() on what comes back. Collective."""
    import torch.distributed as dist

    with naming_the_lost():
        return dist.all_reduce(tensor, async_op=True)


def with_others(rows):
    """A tensor (N, ...) of each process in one: the own rows first, then the others'. No gradient. Collective."""
    if _size == 1:
        return rows
    import torch

    found = _rows_of_all(rows)
    return torch.cat((found[_rank], *(each for number, each in enumerate(found) if number != _rank)))


def joined(rows):
    """(the tensors (N, ...) of all processes in one, in their order; where the own rows begin). Collective."""
    if _size == 1:
        return rows, 0
    import torch

    found = _rows_of_all(rows)
    return torch.cat(found), sum(len(each) for each in found[:_rank])


def _rows_of_all(rows):
    import torch
    import torch.distributed as dist

    rows = rows.detach().contiguous()
    counts = totals([len(rows) if number == _rank else 0 for number in range(_size)])
    if len(set(counts)) > 1:  # the short last step of an epoch, or images of several sizes
        return [each.to(rows.device) for each in gather(rows.cpu())]
    found = [torch.empty_like(rows) for _ in range(_size)]
    with naming_the_lost():
        dist.all_gather(found, rows)
    return found


@contextlib.contextmanager
def naming_the_lost():
    """A connection that broke becomes an InputError: somebody else died, and this process only heard of it."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, InputError) or type(error).__name__ == "OutOfMemoryError":
            raise
        raise InputError(
            f"the connection to another process of the run is gone ({str(error).splitlines()[0][:120]}); the launcher "
            "names the one that died first"
        ) from None


def _broadcast(value):
    import torch.distributed as dist

    box = [value]
    with naming_the_lost():
        dist.broadcast_object_list(box, 0)
    return box[0]
