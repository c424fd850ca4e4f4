"""Initial weights of a network, for the values of --init_type."""

import torch
from torch.nn import init

FILL_WEIGHT = {
    "normal": lambda weight, gain: init.normal_(weight, 0.0, gain),
    "xavier": lambda weight, gain: init.xavier_normal_(weight, gain=gain),
    "kaiming": lambda weight, gain: init.kaiming_normal_(weight, a=0, mode="fan_in"),  # takes no gain
    "orthogonal": lambda weight, gain: init.orthogonal_(weight, gain=gain),
}


def init_weights(net, init_type="normal", init_gain=0.02, debug=False):
    """Draw the weights of every convolution and linear layer, set their biases to 0, and return the network.

    Layers are recognised by their class names, so layers of plug-ins are initialised, too. BatchNorm2d scales are drawn
    from N(1, init_gain); other norms stay as built. `debug` prints the class of each layer that is initialised.
    """
    if init_type not in FILL_WEIGHT:
        raise ValueError(f"--init_type {init_type}: choose one of {', '.join(FILL_WEIGHT)}")
    for layer in net.modules():
        name = type(layer).__name__
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if not isinstance(weight, torch.Tensor):
            continue
        if "Conv" in name or "Linear" in name:
            FILL_WEIGHT[init_type](weight.data, init_gain)
        elif "BatchNorm2d" in name:
            init.normal_(weight.data, 1.0, init_gain)
        else:
            continue
        if isinstance(bias, torch.Tensor):
            init.zeros_(bias.data)
        if debug:
            print(name)
    return net
