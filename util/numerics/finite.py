"""Numbers that go wrong: an update with a nan or infinite number in its loss or gradients does not happen.

util/run/watch.py tells the person.
"""

from collections import deque

import torch

ADAMS = (torch.optim.Adam, torch.optim.AdamW)  # their fused kernels leave everything as it is where a flag says so


def not_finite(tensors):
    """1.0 if any of the tensors holds a nan, an infinity or a number whose square is one; otherwise 0.0.

    The result stays on their device. Squares count because Adam keeps them: an infinite one would never fade.
    """
    return torch.stack(torch._foreach_norm(tensors)).isfinite().all().logical_not().float()


class Updates:
    """Optimizer steps that may be left out. On CUDA the device decides, and the host doesn't wait for it."""

    def __init__(self):
        self._made = deque(maxlen=1000)  # nobody may ask, in a loop that is not ours

    def apply(self, loss, optimizers):
        """Step all of the optimizers after backward(), or none; (parameters with gradients, 1.0 if none, a tensor)."""
        parameters = [p for o in optimizers for group in o.param_groups for p in group["params"] if p.grad is not None]
        bad = not_finite([loss.detach(), *(parameter.grad for parameter in parameters)])
        if decided_on_device(bad, optimizers):
            for optimizer in optimizers:
                step_unless(optimizer, bad)
        elif not bad:
            for optimizer in optimizers:
                optimizer.step()
        return parameters, bad

    def note(self, parameters, bad):
        """Keep for whoever asks by take() whether the update of these parameters is to be reported as left out."""
        self._made.append((parameters, bad))

    def take(self):
        """[(parameters, flag)] of the steps since the last call; a flag is 1.0 where the step was left out."""
        made = list(self._made)
        self._made.clear()
        return made


def decided_on_device(flag, optimizers):
    return flag.is_cuda and all(type(optimizer) in ADAMS for optimizer in optimizers)


def step_unless(optimizer, bad):
    """A step of an Adam that does nothing where the tensor `bad` is 1.0."""
    for group in optimizer.param_groups:
        group["fused"], group["foreach"] = True, False
    for parameter, state in optimizer.state.items():  # an unfused Adam's step count lies on the CPU
        state["step"] = state["step"].to(parameter.device)
    optimizer.grad_scale, optimizer.found_inf = None, bad
    optimizer.step()
    del optimizer.grad_scale, optimizer.found_inf
