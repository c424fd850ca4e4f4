"""Skip updates with a NaN or an infinity in the loss or the gradients; util/run/watch.py reports them."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch

ADAMS = (torch.optim.Adam, torch.optim.AdamW)  # their fused kernels take a flag that skips the update


def not_finite(tensors: list[torch.Tensor]) -> torch.Tensor:
    """1.0 if any of the tensors holds a NaN, an infinity, or a number whose square is infinite; otherwise 0.0.

    The result is on the device of the tensors. Squares count because Adam averages them: an infinity never decays.
    """
    return torch.stack(torch._foreach_norm(tensors)).isfinite().all().logical_not().float()


class Updates:
    """Makes optimizer steps, or skips those that are not finite, and records which. On CUDA the host does not wait."""

    def __init__(self) -> None:
        # maxlen, because a user's own training loop may never call take().
        self._made: deque[tuple[list[torch.nn.Parameter], torch.Tensor]] = deque(maxlen=1000)

    def apply(
        self, loss: torch.Tensor, optimizers: Sequence[torch.optim.Optimizer]
    ) -> tuple[list[torch.nn.Parameter], torch.Tensor]:
        """Step all of the optimizers after backward(), or none of them.

        Returns the parameters that have gradients, and a tensor: 1.0 if the step was skipped, otherwise 0.0.
        """
        parameters = [p for o in optimizers for group in o.param_groups for p in group["params"] if p.grad is not None]
        bad = not_finite([loss.detach(), *(parameter.grad for parameter in parameters)])
        if decided_on_device(bad, optimizers):
            for optimizer in optimizers:
                step_unless(optimizer, bad)
        elif not bad:
            for optimizer in optimizers:
                optimizer.step()
        return parameters, bad

    def note(self, parameters: list[torch.nn.Parameter], bad: torch.Tensor) -> None:
        """Record for take() an update of these parameters; `bad` is 1.0 if it must be reported as skipped."""
        self._made.append((parameters, bad))

    def take(self) -> list[tuple[list[torch.nn.Parameter], torch.Tensor]]:
        """[(parameters, flag)] of the steps since the last call; the flag is 1.0 for a skipped step."""
        made = list(self._made)
        self._made.clear()
        return made


def decided_on_device(flag: torch.Tensor, optimizers: Sequence[torch.optim.Optimizer]) -> bool:
    """Whether all optimizers can skip a step by a flag on the device, which the host need not read."""
    return flag.is_cuda and all(type(optimizer) in ADAMS for optimizer in optimizers)


def step_unless(optimizer: Any, bad: torch.Tensor) -> None:
    """A step of Adam or AdamW that changes nothing if the tensor `bad` is 1.0."""
    for group in optimizer.param_groups:
        group["fused"], group["foreach"] = True, False
    for parameter, state in optimizer.state.items():  # an Adam that is not fused keeps its step count on the CPU
        state["step"] = state["step"].to(parameter.device)
    optimizer.grad_scale, optimizer.found_inf = None, bad
    optimizer.step()
    del optimizer.grad_scale, optimizer.found_inf
