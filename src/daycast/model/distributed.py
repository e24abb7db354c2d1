"""Several processes that train one network together: each draws windows of its own, and all take the mean of their gradients."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from daycast.errors import ConfigError
from daycast.model.device import choose_device


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train together; by default it is alone, and nothing is exchanged."""

    rank: int = 0
    size: int = 1
    device: str | torch.device = "cpu"

    def average_gradients(self, net: nn.Module) -> None:
        """Give every process the mean of the gradients of all."""
        if self.size == 1:
            return
        import torch.distributed as dist  # noqa: PLC0415 - only where there are several

        gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together)
        parts = (together / self.size).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def all_of(self, number: float) -> list[float]:
        """The number that each process came with, in the order of their ranks."""
        if self.size == 1:
            return [number]
        import torch.distributed as dist  # noqa: PLC0415

        mine = torch.tensor([number], dtype=torch.float64, device=self.device)
        numbers = [torch.zeros_like(mine) for _ in range(self.size)]
        dist.all_gather(numbers, mine)
        return [other.item() for other in numbers]

    def of_first(self, number: float) -> float:
        """The number that the first process came with."""
        return self.all_of(number)[0]


ALONE = Ranks()


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """The processes that torch's launcher started, this among them: NCCL between GPUs, one each, and gloo between CPUs.

    Raises ConfigError where there are more processes than GPUs.
    """
    import torch.distributed as dist  # noqa: PLC0415

    place = choose_device(device)
    if place.type == "cuda":
        local, there = dist.get_node_local_rank(0), torch.cuda.device_count()
        if local >= there:
            raise ConfigError(
                f"model.processes asks for more GPUs than the {there} of this machine: choose at most that"
            )
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()
