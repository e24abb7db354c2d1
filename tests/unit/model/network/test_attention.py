"""Attention: a softmax over the history, by hand."""

from collections.abc import Callable

import numpy as np
import torch

from daycast.model.network.decoders import Attention
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.windows import Batch


def test_it_is_the_softmax_of_scaled_dot_products_merged_with_what_was_decoded() -> None:
    torch.manual_seed(1)
    attention = Attention(hidden_size=3, width=4).double()
    decoded, outputs = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 7, 4, dtype=torch.float64)
    got = attention(decoded, outputs).detach().numpy()
    query, merge, bias = (
        part.detach().numpy() for part in (attention.query.weight, attention.merge.weight, attention.merge.bias)
    )
    for window in range(2):
        for lead in range(5):
            said = decoded[window, lead].numpy()
            scores = np.array([(query @ said) @ hour / 2.0 for hour in outputs[window].numpy()])  # the root of 4
            share = np.exp(scores) / np.exp(scores).sum()
            context = sum(s * hour for s, hour in zip(share, outputs[window].numpy(), strict=True))
            np.testing.assert_allclose(got[window, lead], np.tanh(merge @ np.r_[said, context] + bias), atol=1e-12)


def test_a_decoder_that_attends_reads_every_hour_and_one_that_does_not_the_last_state_alone(
    make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    batch, linear = make_exact_batch(2), torch.zeros(2, 24, 1, dtype=torch.float64)
    for attends in (True, False):
        net = make_net(attention=attends)
        encoded = net.encode(torch.randn(2, 168, 11, dtype=torch.float64))
        for hour in (0, 90, 167):
            other = encoded.outputs.clone()
            other[:, hour] += 1.0
            moved = net.decode(encoded._replace(outputs=other), batch, linear) != net.decode(encoded, batch, linear)
            assert moved.all() if attends else not moved.any()
