"""Exponential moving averages of weights, which replace the trained weights of generators in evaluation and tests.

    average <- d * average + (1 - d) * weights,   d = min(decay, (1 + n) / (10 + n)) after the n-th update

The average of generators is used by progressive GANs (Karras et al., ICLR 2018, section 6) and studied by Yazici et
al., "The Unusual Effectiveness of Averaging in GAN Training", ICLR 2019. The warm-up of d lets an early average
follow the weights instead of their initial values. Buffers (running statistics, blur filters) are copied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class WeightAverages:
    """Averages of the weights of {name: network}, on the networks' devices. A checkpoint holds its state_dict."""

    def __init__(self, nets: dict[str, nn.Module], decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay {decay}: expected 0 <= decay < 1")
        self.nets, self.decay = nets, decay
        self.updates: torch.Tensor | float = 0
        self.averages: dict[str, dict[str, torch.Tensor]] = {}
        self.restart()

    @torch.no_grad()
    def update(self, left_out: torch.Tensor | float = 0.0) -> None:
        """Update the averages after an optimizer step, or change nothing if `left_out` is 1.0 (the step was skipped).

        `left_out` may be a tensor on the networks' device; the host does not wait for it.
        """
        applied = 1 - left_out
        if isinstance(applied, torch.Tensor) and not isinstance(self.updates, torch.Tensor):
            self.updates = torch.full_like(applied, self.updates)
        self.updates += applied  # a tensor is changed in place, so that a CUDA graph can repeat it (--capture)
        decay = (1 + self.updates) / (10 + self.updates)
        decay = decay.clamp(max=self.decay) if isinstance(decay, torch.Tensor) else min(decay, self.decay)
        weight = (1 - decay) * applied
        for name, net in self.nets.items():
            for key, value in _tensors(net).items():
                average = self.averages[name][key]
                if not value.is_floating_point() or not isinstance(value, nn.Parameter):
                    average.copy_(value)
                elif isinstance(weight, torch.Tensor):
                    average.lerp_(value, weight.to(value.dtype))
                else:
                    average.lerp_(value, weight)

    def restart(self) -> None:
        """Set the averages to the current weights and the number of updates to 0."""
        self.updates = 0
        self.averages = {name: _values(net) for name, net in self.nets.items()}

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the networks have the averaged weights, after it their own again."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, net in self.nets.items():
            for key, value in _tensors(net).items():
                average = self.averages[name][key]
                own = value.detach().clone()
                value.copy_(average)
                average.copy_(own)

    def state_dict(self) -> dict:
        return {"updates": int(self.updates), "averages": self.averages}

    def load_state_dict(self, state: dict) -> None:
        """Raises KeyError or RuntimeError if the state belongs to other networks."""
        self.updates = state["updates"]
        with torch.no_grad():
            for name, averages in self.averages.items():
                for key, average in averages.items():
                    average.copy_(state["averages"][name][key])


def _tensors(net: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers by their keys in the state dict."""
    return net.state_dict(keep_vars=True)


def _values(net: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone() for key, value in net.state_dict().items()}
