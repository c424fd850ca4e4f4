"""Whether --capture can make CUDA graphs of a model's steps."""

from typing import Any

import torch

from models.architectures.adjustable import DROPOUT
from util.numerics import compiling
from util.numerics.precision import SIZES_DIFFER
from util.run import states


def why_not(model: Any) -> str | None:
    """The reason why the steps of a model can't be captured, or None."""
    opt, kind, name = model._own, model.device.type, type(model).__name__
    parts = (module for net in model.networks_by_name().values() for module in net.modules())
    dropout = any(isinstance(part, DROPOUT) for part in parts)
    pools = states.pools_of(model).values()
    reasons = {
        f"{kind} has no CUDA graphs": kind not in ("cpu", "cuda"),
        f"{name} declares no `captures` of its own": not vars(type(model)).get("captures"),
        f"--compile {opt.compile} has graphs of its own": opt.compile in compiling.REPLAYING,
        f"--preprocess {opt.preprocess} gives images of many sizes": opt.preprocess in SIZES_DIFFER,
        "--grad_checkpoint with dropout makes the same draws twice": opt.grad_checkpoint and dropout,
        f"--accumulate {opt.accumulate} with dropout makes the same draws twice": opt.accumulate > 1 and dropout,
        "--lambda_feat makes the same draws twice": getattr(model, "_lambda_feat", 0) > 0,
        f"{name} has an image pool of its own": any(type(pool) is not states.ImagePool for pool in pools),
        f"{name} has optimizers besides Adam": any(type(each) is not torch.optim.Adam for each in model.optimizers),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
