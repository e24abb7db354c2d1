"""The network and its training on a GPU; skipped on machines without one."""

import dataclasses

import pytest
import torch

from daycast.model.config import ModelConfig
from daycast.model.linear.ridge import linear_forecast, path_features, sum_moments
from daycast.model.network.seq2seq import Seq2Seq

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


def on_gpu(batch):
    parts = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return dataclasses.replace(batch, **{name: part.cuda() for name, part in parts.items() if part is not None})


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_network_forecasts_on_the_gpu_what_it_forecasts_on_the_cpu(make_batch, cell):
    batch = make_batch(8)
    net = Seq2Seq(cell, channels=2, targets=2, config=ModelConfig(hidden_size=16, layers=2)).eval()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    linear = torch.zeros(8, 24, 2)
    expected = net(batch, linear)
    torch.testing.assert_close(net.cuda()(on_gpu(batch), linear.cuda()).cpu(), expected, rtol=1e-3, atol=1e-4)


def test_the_linear_path_fitted_on_the_gpu_forecasts_what_the_one_fitted_on_the_cpu_does(make_batch):
    batch = make_batch(64)
    cpu = sum_moments([batch], 2, path_features).solve([0.1, 0.1])
    gpu = sum_moments([on_gpu(batch)], 2, path_features).solve([0.1, 0.1])
    forecast = linear_forecast(gpu, on_gpu(batch), 2, path_features).cpu()
    torch.testing.assert_close(forecast, linear_forecast(cpu, batch, 2, path_features), rtol=1e-2, atol=1e-3)
