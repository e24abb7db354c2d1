"""Training: it can learn anything at all, and the same seed learns the same."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.config import ModelConfig
from daycast.model.linear.external_correction import add_external
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.training.ensemble import train_ensemble
from daycast.model.training.sampling import eligible_origins
from daycast.model.training.trainer import Member, Progress
from daycast.model.windows import Windows
from daycast.times import HOUR
from unit.model.training_data import BLOCK, TINY, make_training_data, train_alone


def train(
    make_plain_network: Callable[[np.ndarray], Panel],
    config: ModelConfig,
    cell: str = "gru",
    watch: Callable = lambda _: None,
) -> tuple[Seq2Seq, float, float]:
    """Train on the four windows of a station of noise, validated on those; the network, its loss, and the loss at the start."""
    noise = np.random.default_rng(6).normal(size=(1, BLOCK.end, 1))
    panel = make_plain_network(noise)
    windows = Windows(panel, Scale(np.zeros(1, np.float32), np.ones(1, np.float32)), torch.device("cpu"))
    assert eligible_origins(panel, BLOCK, 1).sum() == 4
    validation = [windows.gather(torch.zeros(4, dtype=torch.int64), torch.arange(167, 171))]
    training_data = make_training_data(windows, BLOCK, validation)

    def loss_after(epochs: int) -> tuple[Seq2Seq, float]:
        return train_alone(Member(cell, config.seed), training_data, replace(config, epochs=epochs), watch)[:2]

    return *loss_after(config.epochs), loss_after(0)[1]


@pytest.mark.parametrize(("cell", "epochs", "share"), [("gru", 7, 0.2), ("lstm", 12, 0.1)])
def test_four_windows_can_be_learnt_to_nearly_nothing(
    cell: str, epochs: int, share: float, make_plain_network: Callable[[np.ndarray], Panel]
) -> None:
    """A GRU, which takes a CPU ten times as long, is given fewer epochs."""
    config = replace(
        TINY,
        hidden_size=32,
        learning_rate=8e-2,
        weight_decay=0.0,
        input_dropout=0.0,
        batch_size=4,
        steps_per_epoch=40,
        epochs=epochs,
        patience=epochs,
    )
    _, loss, before = train(make_plain_network, config, cell)
    assert loss < share * before


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_one_others(
    cell: str, make_plain_network: Callable[[np.ndarray], Panel]
) -> None:
    config = replace(TINY, dropout=0.3, learning_rate=1e-2)
    first, second, other = (
        train(make_plain_network, c, cell)[0].state_dict() for c in (config, config, replace(config, seed=2))
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["encoder.weight_ih_l0"], other["encoder.weight_ih_l0"])


@pytest.mark.parametrize("loss", ["training_loss", "validation_loss"])
def test_suspect_truth_counts_half_in_both_losses(loss: str, make_plain_network: Callable[[np.ndarray], Panel]) -> None:
    """One window: twelve leads that are good and twelve suspect; alone, each half has a loss of its own."""
    block, scale = Block(0, 192), Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    still = replace(TINY, learning_rate=0.0, weight_decay=0.0, input_dropout=0.0, epochs=1)

    def loss_over(leads: slice, weight: float | None = None) -> float:
        values = np.random.default_rng(3).normal(size=(1, 192, 1))
        kept = values[:, 168:][:, leads].copy()
        values[:, 168:] = np.nan
        values[:, 168:][:, leads] = kept
        panel = make_plain_network(values)
        if weight is not None:
            weights = np.ones(values.shape, np.float16)
            weights[:, 180:] = weight
            panel = replace(panel, weight=weights)
        windows, seen = Windows(panel, scale, torch.device("cpu")), []
        validation = [windows.gather(torch.tensor([0]), torch.tensor([167]))]
        train_alone(Member("gru", 1), make_training_data(windows, block, validation), still, seen.append)
        return getattr(seen[0], loss)

    good, suspect = loss_over(slice(0, 12)), loss_over(slice(12, 24))
    assert good != pytest.approx(suspect, rel=0.05)
    assert loss_over(slice(0, 24), 0.5) == pytest.approx((good + 0.5 * suspect) / 1.5, rel=1e-5)


def test_the_network_returned_is_the_one_of_the_best_epoch(make_plain_network: Callable[[np.ndarray], Panel]) -> None:
    seen: list[Progress] = []
    config = replace(TINY, learning_rate=0.3, epochs=6, patience=6)  # so fast that it does not settle
    _, loss, before = train(make_plain_network, config, watch=seen.append)
    assert len(seen) == 6
    assert loss == min([before, *(progress.validation_loss for progress in seen)])


def test_it_stops_when_patience_has_run_out(make_plain_network: Callable[[np.ndarray], Panel]) -> None:
    seen: list[Progress] = []
    train(
        make_plain_network, replace(TINY, learning_rate=0.0, weight_decay=0.0, epochs=9, patience=2), watch=seen.append
    )
    assert [progress.epoch for progress in seen] == [1, 2]


def test_what_is_kept_is_the_running_average_of_the_weights(
    make_plain_network: Callable[[np.ndarray], Panel],
) -> None:
    """An average that forgets nothing stays where the first step led; one that remembers nothing follows every step."""

    def kept(steps: int, decay: float) -> dict[str, torch.Tensor]:
        config = replace(TINY, epochs=1, steps_per_epoch=steps, ema_decay=decay)
        return train(make_plain_network, config)[0].state_dict()

    start, first, unforgetting, following = kept(1, 0.0), kept(1, 1.0), kept(3, 1.0), kept(3, 0.0)
    untrained = train(make_plain_network, replace(TINY, epochs=0))[0].state_dict()
    assert all(torch.equal(start[name], first[name]) for name in start)
    assert all(torch.equal(unforgetting[name], first[name]) for name in first)
    assert not torch.equal(first["head.weight"], untrained["head.weight"])
    assert not torch.equal(following["head.weight"], first["head.weight"])


@pytest.mark.parametrize(("cell", "kinds"), [("auto", {"gru", "lstm", "gru+lstm"}), ("lstm", {"lstm"})])
def test_members_differ_by_seed_and_validation_chooses_among_the_kinds(
    cell: str, kinds: set[str], make_plain_network: Callable[[np.ndarray], Panel]
) -> None:
    panel = make_plain_network(np.random.default_rng(6).normal(size=(1, BLOCK.end, 1)))
    windows = Windows(panel, Scale(np.zeros(1, np.float32), np.ones(1, np.float32)), torch.device("cpu"))
    validation = [windows.gather(torch.zeros(4, dtype=torch.int64), torch.arange(167, 171))]
    seen: list[Progress] = []
    config = replace(TINY, cell=cell, ensemble_size=4)
    cells, ensemble, losses, trained = train_ensemble(
        make_training_data(windows, BLOCK, validation), config, seen.append
    )
    assert set(losses) == kinds
    assert trained == 4
    assert "+".join(dict.fromkeys(cells)) in kinds
    assert len(cells) == len(ensemble.members) in {2, 4}
    assert {(progress.member, progress.members) for progress in seen} == {(n, 4) for n in range(1, 5)}
    weights = [member.encoder.weight_ih_l0 for member in ensemble.members]
    assert not any(torch.equal(weights[0], other) for other in weights[1:] if other.shape == weights[0].shape)


def test_no_further_member_is_begun_when_the_time_is_over(make_plain_network: Callable[[np.ndarray], Panel]) -> None:
    panel = make_plain_network(np.random.default_rng(6).normal(size=(1, BLOCK.end, 1)))
    windows = Windows(panel, Scale(np.zeros(1, np.float32), np.ones(1, np.float32)), torch.device("cpu"))
    validation = [windows.gather(torch.zeros(4, dtype=torch.int64), torch.arange(167, 171))]
    config = replace(TINY, ensemble_size=4, max_minutes=0.0)
    cells, ensemble, _, trained = train_ensemble(make_training_data(windows, BLOCK, validation), config, lambda _: None)
    assert len(cells) == len(ensemble.members) == trained == 1


@pytest.mark.parametrize("input_dropout", [0.0, 0.5])
def test_the_intervals_without_others_forecasts_are_learnt_where_these_are_hidden(
    input_dropout: float, make_plain_network: Callable[[np.ndarray], Panel]
) -> None:
    """There is one for every hour: nothing is hidden, nothing is learnt of how it would be without."""
    panel = make_plain_network(np.random.default_rng(6).normal(size=(1, BLOCK.end, 1)))
    start = panel.start
    issue = {"station_id": "s0", "issued_at": start + 150 * HOUR, "received_at": start + 150 * HOUR, "v0": 0.0}
    others = pl.DataFrame([{**issue, "valid_at": start + hour * HOUR} for hour in range(151, BLOCK.end)])
    panel = add_external(panel, others, start + 999 * HOUR)
    windows = Windows(panel, Scale(np.zeros(1, np.float32), np.ones(1, np.float32)), torch.device("cpu"))
    validation = [windows.gather(torch.zeros(4, dtype=torch.int64), torch.arange(167, 171))]
    assert not validation[0].external_forecasts.missing.any()
    wide = torch.full((24, 1, 7), 2.0)
    training_data = replace(make_training_data(windows, BLOCK, validation), quantile_steps_alone=wide)
    net, *_ = train_alone(Member("gru", 1), training_data, replace(TINY, weight_decay=0.0, input_dropout=input_dropout))
    learnt = torch.nn.functional.softplus(net.quantile_steps_alone.detach()) - wide
    assert (learnt.abs().max().item() > 1e-3) == (input_dropout > 0)
