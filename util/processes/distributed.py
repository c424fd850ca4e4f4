"""The entry to a run in many processes; other folders import this module alone from util/processes for it.

launch.py starts processes, session.py joins them, collectives.py exchanges values and tensors between them. Only the
files of this folder import torch.distributed, and only they decide by rank.
"""

from util.processes.collectives import (
    Absent,
    broadcast_tensors,
    concatenate_in_rank_order,
    concatenate_own_first,
    entered_on_rank0,
    gather,
    gather_on_rank0,
    made_on_rank0,
    maximum,
    mean_over_ranks,
    on_rank0,
    raised_once,
    run_on_all_ranks,
    start_sum,
    sum_by_name,
    sum_of_integers,
    value_of_rank0,
)
from util.processes.launch import EXIT_CODES, launch, launched, launched_several, local_rank
from util.processes.session import (
    explaining_lost_connections,
    own_share,
    rank,
    restarted,
    session,
    set_step_images,
    step_size,
    step_weight,
    world_size,
)

__all__ = [
    "EXIT_CODES",
    "Absent",
    "broadcast_tensors",
    "concatenate_in_rank_order",
    "concatenate_own_first",
    "entered_on_rank0",
    "explaining_lost_connections",
    "gather",
    "gather_on_rank0",
    "launch",
    "launched",
    "launched_several",
    "local_rank",
    "made_on_rank0",
    "maximum",
    "mean_over_ranks",
    "on_rank0",
    "own_share",
    "raised_once",
    "rank",
    "restarted",
    "run_on_all_ranks",
    "session",
    "set_step_images",
    "start_sum",
    "step_size",
    "step_weight",
    "sum_by_name",
    "sum_of_integers",
    "value_of_rank0",
    "world_size",
]
