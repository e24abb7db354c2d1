"""How large a network is."""

from torch import nn


def count_parameters(net: nn.Module) -> int:
    """The number of weights that training changes."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
