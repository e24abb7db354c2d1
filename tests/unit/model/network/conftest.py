"""Networks that are small, exact (float64) and far from their start."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch

from daycast.model.config import ModelConfig
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.windows import Batch

SMALL = ModelConfig(hidden_size=8, dropout=0.0)


@pytest.fixture
def make_net() -> Callable[..., Seq2Seq]:
    """A network for 2 channels and 1 target, its head moved from the zeros it starts with; in evaluation."""

    def make(cell: str = "gru", seed: int = 5, targets: int = 1, **options: object) -> Seq2Seq:
        torch.manual_seed(seed)
        net = Seq2Seq(cell, 2, targets, replace(SMALL, **options)).double()
        for parameter in (net.head.weight, net.head.bias, net.quantile_steps):
            torch.nn.init.normal_(parameter)
        return net.eval()

    return make


@pytest.fixture
def make_exact_batch(make_batch: Callable[..., Batch]) -> Callable[..., Batch]:
    """The windows of `make_batch` in float64."""

    def make(size: int, **options: float) -> Batch:
        batch = make_batch(size, **options)
        parts = {field.name: getattr(batch, field.name) for field in fields(batch)}
        return replace(batch, **{n: p.double() for n, p in parts.items() if p is not None and p.is_floating_point()})

    return make
