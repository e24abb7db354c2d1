"""Attention, as a softmax by hand, and the autoregressive decoder, against slow loops."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from daycast.model.config import MEDIAN
from daycast.model.network.cells import CELLS
from daycast.model.network.decoders import Attention, teacher_forcing_ratio
from daycast.model.network.seq2seq import Seq2Seq, read_history
from daycast.model.windows import Batch
from unit.model.network import slow_cells


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
            output = decoded[window, lead].numpy()
            scores = np.array([(query @ output) @ hour / 2.0 for hour in outputs[window].numpy()])  # the root of 4
            weights = np.exp(scores) / np.exp(scores).sum()
            context = sum(s * hour for s, hour in zip(weights, outputs[window].numpy(), strict=True))
            np.testing.assert_allclose(got[window, lead], np.tanh(merge @ np.r_[output, context] + bias), atol=1e-12)


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


EACH = pytest.mark.parametrize("cell", CELLS)
MakeNet, MakeBatch = Callable[..., Seq2Seq], Callable[..., Batch]


def medians_when_shown(cell: str, net: Seq2Seq, batch: Batch, linear: torch.Tensor, shown: np.ndarray) -> np.ndarray:
    """Departures of the median (B, H) when the decoder is shown these departures of the hours, NaN: its own. Lead by lead."""
    _, state = slow_cells.run(cell, net.encoder, read_history(batch).numpy())
    head, before, medians = slow_cells.weights_of(net.head), np.zeros((len(linear), 1)), []
    for lead in range(24):
        departure = (linear[:, lead] - batch.filled[:, -1, :1]).numpy()
        read = np.concatenate([batch.calendar[:, 168 + lead, :3].numpy(), departure, before], axis=1)
        decoded, state = slow_cells.run(cell, net.decoder, read[:, None], state)
        medians.append(decoded[:, 0] @ head["weight"][MEDIAN] + head["bias"][MEDIAN])
        before = np.where(np.isnan(shown[:, lead]), medians[-1], shown[:, lead])[:, None]
    return np.stack(medians, axis=1)


def medians_of(net: Seq2Seq, batch: Batch, linear: torch.Tensor) -> np.ndarray:
    return (net(batch, linear)[..., 0, MEDIAN] - linear[..., 0]).detach().numpy()


def taught(make_net: MakeNet, cell: str, ratio: float) -> Seq2Seq:
    return make_net(
        cell, decoder="autoregressive", teacher_forcing_ratio=ratio, final_teacher_forcing_ratio=ratio
    ).train()


@EACH
def test_a_forecast_reads_its_own_median_of_the_hour_before(
    cell: str, make_net: MakeNet, make_exact_batch: MakeBatch
) -> None:
    net, batch = make_net(cell, decoder="autoregressive"), make_exact_batch(3)
    linear = torch.randn(3, 24, 1, dtype=torch.float64)
    expected = medians_when_shown(cell, net, batch, linear, np.full((3, 24), np.nan))
    np.testing.assert_allclose(medians_of(net, batch, linear), expected, atol=1e-12)


@EACH
def test_a_pupil_of_the_truth_alone_reads_the_truth_of_the_hour_before(
    cell: str, make_net: MakeNet, make_exact_batch: MakeBatch
) -> None:
    net, batch = taught(make_net, cell, 1.0), make_exact_batch(3)
    linear = torch.randn(3, 24, 1, dtype=torch.float64)
    expected = medians_when_shown(cell, net, batch, linear, (batch.truth[..., 0] - linear[..., 0]).numpy())
    np.testing.assert_allclose(medians_of(net, batch, linear), expected, atol=1e-12)


@EACH
def test_a_pupil_of_itself_alone_reads_what_it_forecast_of_the_truth(
    cell: str, make_net: MakeNet, make_exact_batch: MakeBatch
) -> None:
    net, batch, linear = taught(make_net, cell, 0.0), make_exact_batch(3), torch.zeros(3, 24, 1, dtype=torch.float64)
    first_pass = medians_when_shown(cell, net, batch, linear, batch.truth[..., 0].numpy())
    expected = medians_when_shown(cell, net, batch, linear, first_pass)
    np.testing.assert_allclose(medians_of(net, batch, linear), expected, atol=1e-12)


def test_where_the_truth_is_missing_it_reads_its_own(make_net: MakeNet, make_exact_batch: MakeBatch) -> None:
    net, batch, linear = taught(make_net, "gru", 1.0), make_exact_batch(3), torch.zeros(3, 24, 1, dtype=torch.float64)
    truth = batch.truth.clone()
    truth[:, 6:9] = torch.nan
    first_pass = medians_when_shown("gru", net, batch, linear, truth[..., 0].nan_to_num(0.0).numpy())
    mixed = np.where(truth[..., 0].isnan().numpy(), first_pass, truth[..., 0].numpy())
    expected = medians_when_shown("gru", net, batch, linear, mixed)
    got = medians_of(net, replace(batch, truth=truth), linear)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert np.isfinite(got).all()


def test_a_ratio_of_one_half_shows_about_half_of_the_hours_and_all_targets_of_an_hour_together(
    make_net: MakeNet, make_exact_batch: MakeBatch
) -> None:
    """Told apart by a truth so far away that the cell saturates where it is shown."""
    net = make_net(
        "rnn", targets=2, decoder="autoregressive", teacher_forcing_ratio=0.5, final_teacher_forcing_ratio=0.5
    ).train()
    batch, seen = make_exact_batch(50), []
    net.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][..., -2:]))
    net(replace(batch, truth=torch.full_like(batch.truth, 1e6)), torch.zeros(50, 24, 2, dtype=torch.float64))
    shown = seen[1][:, 1:] == 1e6
    assert (shown[..., 0] == shown[..., 1]).all()
    assert 0.45 < shown.double().mean() < 0.55  # of 1,150 hours: more than three deviations to either side


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_no_lead_is_taught_with_its_own_truth_or_a_later_one(
    ratio: float, make_net: MakeNet, make_exact_batch: MakeBatch
) -> None:
    net, batch, linear = taught(make_net, "gru", ratio), make_exact_batch(3), torch.zeros(3, 24, 1, dtype=torch.float64)

    def forecast(truth: torch.Tensor) -> np.ndarray:
        torch.manual_seed(0)
        return medians_of(net, replace(batch, truth=truth), linear)

    other = batch.truth.clone()
    other[:, 10:] += 5.0
    before, after = forecast(batch.truth), forecast(other)
    np.testing.assert_array_equal(after[:, :11], before[:, :11])
    assert (after[:, 12:] != before[:, 12:]).any()


@pytest.mark.parametrize("decoder", ["direct", "autoregressive"])
def test_a_forecast_never_reads_the_truth(decoder: str, make_net: MakeNet, make_exact_batch: MakeBatch) -> None:
    net, batch, linear = make_net(decoder=decoder), make_exact_batch(4), torch.zeros(4, 24, 1, dtype=torch.float64)
    unknown = replace(batch, truth=torch.full_like(batch.truth, torch.nan))
    assert torch.equal(net(batch, linear), net(unknown, linear))


def test_the_ratio_falls_in_a_straight_line_and_then_stays() -> None:
    shares = [teacher_forcing_ratio(torch.tensor(float(step)), 4, 0.9, 0.1).item() for step in (0, 1, 2, 4, 9)]
    assert shares == pytest.approx([0.9, 0.7, 0.5, 0.1, 0.1])


def test_a_network_counts_its_training_steps_and_forecasts_are_none(
    make_net: MakeNet, make_exact_batch: MakeBatch
) -> None:
    """Of six steps in all the third sees two thirds of the truth; the count is part of the weights, for a resumed training."""
    net = make_net(decoder="autoregressive", epochs=2, steps_per_epoch=3)
    batch, linear = make_exact_batch(1), torch.zeros(1, 24, 1, dtype=torch.float64)
    net.train()
    for _ in range(2):
        net(batch, linear)
    net.eval()(batch, linear)
    assert net.state_dict()["step"] == 2
    assert net._next_teacher_forcing_ratio().item() == pytest.approx(2 / 3)
