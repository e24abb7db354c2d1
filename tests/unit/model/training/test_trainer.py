"""The training loop: it can overfit, the same seed gives the same weights, members trained together too; and its loss."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.config import QUANTILES, ModelConfig
from daycast.model.linear.external_correction import add_external
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.training.ensemble import train_ensemble
from daycast.model.training.sampling import eligible_origins
from daycast.model.training.state import TrainingData
from daycast.model.training.trainer import Member, Progress, pinball_loss, train_epoch, train_together
from daycast.model.windows import Batch, Windows
from daycast.times import HOUR
from unit.model.training_data import BLOCK, TINY, make_training_data, train_alone


def train(
    make_plain_panel: Callable[[np.ndarray], Panel],
    config: ModelConfig,
    cell: str = "gru",
    on_progress: Callable = lambda _: None,
) -> tuple[Seq2Seq, float, float]:
    """Train on the four windows of a station of noise, validated on those; the network, its loss, and the loss at the start."""
    noise = np.random.default_rng(6).normal(size=(1, BLOCK.end, 1))
    panel = make_plain_panel(noise)
    windows = Windows(panel, Scale(np.zeros(1, np.float32), np.ones(1, np.float32)), torch.device("cpu"))
    assert eligible_origins(panel, BLOCK, 1).sum() == 4
    validation = [windows.gather(torch.zeros(4, dtype=torch.int64), torch.arange(167, 171))]
    training_data = make_training_data(windows, BLOCK, validation)

    def loss_after(epochs: int) -> tuple[Seq2Seq, float]:
        return train_alone(Member(cell, config.seed), training_data, replace(config, epochs=epochs), on_progress)[:2]

    return *loss_after(config.epochs), loss_after(0)[1]


@pytest.mark.parametrize(("cell", "epochs", "fraction"), [("gru", 2, 0.35), ("lstm", 6, 0.35)])
def test_four_windows_can_be_learnt_to_nearly_nothing(
    cell: str, epochs: int, fraction: float, make_plain_panel: Callable[[np.ndarray], Panel]
) -> None:
    """A GRU, which takes a CPU several times as long, is given fewer epochs."""
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
    _, loss, before = train(make_plain_panel, config, cell)
    assert loss < fraction * before


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_one_others(
    cell: str, make_plain_panel: Callable[[np.ndarray], Panel]
) -> None:
    config = replace(TINY, dropout=0.3, learning_rate=1e-2)
    first, second, other = (
        train(make_plain_panel, c, cell)[0].state_dict() for c in (config, config, replace(config, seed=2))
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["encoder.weight_ih_l0"], other["encoder.weight_ih_l0"])


@pytest.mark.parametrize("loss", ["training_loss", "validation_loss"])
def test_suspect_truth_counts_half_in_both_losses(loss: str, make_plain_panel: Callable[[np.ndarray], Panel]) -> None:
    """One window: twelve leads that are good and twelve suspect; each half has a loss of its own."""
    block, scale = Block(0, 192), Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    still = replace(TINY, learning_rate=0.0, weight_decay=0.0, input_dropout=0.0, epochs=1)

    def loss_over(leads: slice, weight: float | None = None) -> float:
        values = np.random.default_rng(3).normal(size=(1, 192, 1))
        kept = values[:, 168:][:, leads].copy()
        values[:, 168:] = np.nan
        values[:, 168:][:, leads] = kept
        panel = make_plain_panel(values)
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


def test_the_network_returned_is_the_one_of_the_best_epoch(make_plain_panel: Callable[[np.ndarray], Panel]) -> None:
    seen: list[Progress] = []
    config = replace(TINY, learning_rate=0.3, epochs=6, patience=6)  # so fast that it does not settle
    _, loss, before = train(make_plain_panel, config, on_progress=seen.append)
    assert len(seen) == 6
    assert loss == min([before, *(progress.validation_loss for progress in seen)])


def test_it_stops_when_patience_has_run_out(make_plain_panel: Callable[[np.ndarray], Panel]) -> None:
    seen: list[Progress] = []
    train(
        make_plain_panel,
        replace(TINY, learning_rate=0.0, weight_decay=0.0, epochs=9, patience=2),
        on_progress=seen.append,
    )
    assert [progress.epoch for progress in seen] == [1, 2]


def test_what_is_kept_is_the_running_average_of_the_weights(
    make_plain_panel: Callable[[np.ndarray], Panel],
) -> None:
    """An average that forgets nothing stays where the first step led; one that remembers nothing follows every step."""

    def kept(steps: int, decay: float) -> dict[str, torch.Tensor]:
        config = replace(TINY, epochs=1, steps_per_epoch=steps, ema_decay=decay)
        return train(make_plain_panel, config)[0].state_dict()

    start, first, unforgetting, following = kept(1, 0.0), kept(1, 1.0), kept(3, 1.0), kept(3, 0.0)
    untrained = train(make_plain_panel, replace(TINY, epochs=0))[0].state_dict()
    assert all(torch.equal(start[name], first[name]) for name in start)
    assert all(torch.equal(unforgetting[name], first[name]) for name in first)
    assert not torch.equal(first["head.weight"], untrained["head.weight"])
    assert not torch.equal(following["head.weight"], first["head.weight"])


@pytest.mark.parametrize(("cell", "kinds"), [("auto", {"gru", "lstm", "gru+lstm"}), ("lstm", {"lstm"})])
def test_members_differ_by_seed_and_validation_chooses_among_the_kinds(
    cell: str, kinds: set[str], make_plain_panel: Callable[[np.ndarray], Panel]
) -> None:
    panel = make_plain_panel(np.random.default_rng(6).normal(size=(1, BLOCK.end, 1)))
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


def test_no_further_member_is_begun_when_the_time_is_over(make_plain_panel: Callable[[np.ndarray], Panel]) -> None:
    panel = make_plain_panel(np.random.default_rng(6).normal(size=(1, BLOCK.end, 1)))
    windows = Windows(panel, Scale(np.zeros(1, np.float32), np.ones(1, np.float32)), torch.device("cpu"))
    validation = [windows.gather(torch.zeros(4, dtype=torch.int64), torch.arange(167, 171))]
    config = replace(TINY, ensemble_size=4, max_minutes=0.0)
    cells, ensemble, _, trained = train_ensemble(make_training_data(windows, BLOCK, validation), config, lambda _: None)
    assert len(cells) == len(ensemble.members) == trained == 1


@pytest.mark.parametrize("input_dropout", [0.0, 0.5])
def test_the_intervals_without_external_forecasts_are_learned_where_these_are_dropped(
    input_dropout: float, make_plain_panel: Callable[[np.ndarray], Panel]
) -> None:
    """There is one for every hour: nothing is hidden, nothing is learnt of how it would be without."""
    panel = make_plain_panel(np.random.default_rng(6).normal(size=(1, BLOCK.end, 1)))
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


def test_the_levels_are_those_of_every_forecast() -> None:
    assert QUANTILES == (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@pytest.mark.parametrize("truth_missing", [0.0, 0.4])
def test_the_loss_is_the_mean_over_what_is_not_missing(make_batch: Callable[..., Batch], truth_missing: float) -> None:
    truth = make_batch(3, truth_missing=truth_missing).truth
    quantiles = torch.randn(*truth.shape, 7, generator=torch.Generator().manual_seed(1))
    losses = []
    for index in torch.cartesian_prod(*(torch.arange(n) for n in truth.shape)).tolist():
        y = truth[tuple(index)].item()
        if math.isnan(y):
            continue
        for level, q in zip((0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95), quantiles[tuple(index)].tolist(), strict=True):
            losses.append(level * (y - q) if y >= q else (1 - level) * (q - y))
    assert pinball_loss(quantiles, truth).item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_a_perfect_forecast_costs_nothing() -> None:
    truth = torch.tensor([[[1.5], [-2.0]]])
    assert pinball_loss(truth[..., None].expand(-1, -1, -1, 7), truth).item() == 0.0


def test_a_suspect_truth_counts_by_its_weight() -> None:
    """Seven quantiles at 0 cost half the distance: 1 for a truth of 2, and 4 for one of 8 that counts half."""
    truth = torch.tensor([[[2.0], [8.0], [math.nan]]])
    weight = torch.tensor([[[1.0], [0.5], [0.5]]])
    quantiles = torch.zeros(1, 3, 1, 7, requires_grad=True)
    assert pinball_loss(quantiles, truth).item() == pytest.approx((1 + 4) / 2)
    loss = pinball_loss(quantiles, truth, weight)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 0.5 * 4) / (1 + 0.5))
    median = quantiles.grad[0, :, 0, 3]  # raising it by 1 saves half of that on one level of seven
    assert median.tolist() == pytest.approx([-0.5 / 7 / 1.5, -0.25 / 7 / 1.5, 0.0])


def test_a_suspect_truth_alone_costs_what_it_would_unsuspected() -> None:
    truth = torch.tensor([[[8.0], [math.nan]]])
    assert pinball_loss(torch.zeros(1, 2, 1, 7), truth, torch.full((1, 2, 1), 0.5)).item() == pytest.approx(4.0)


def test_equal_weights_are_none_bit_for_bit(make_batch: Callable[..., Batch]) -> None:
    truth = make_batch(5, truth_missing=0.3).truth
    quantiles = torch.randn(*truth.shape, 7, generator=torch.Generator().manual_seed(1))
    assert torch.equal(pinball_loss(quantiles, truth, torch.ones_like(truth)), pinball_loss(quantiles, truth))


@pytest.mark.parametrize("weight", [None, 0.5])
def test_where_every_truth_is_missing_there_is_no_loss_and_no_gradient(weight: float | None) -> None:
    quantiles = torch.ones(1, 2, 1, 7, requires_grad=True)
    weights = None if weight is None else torch.full((1, 2, 1), weight)
    loss = pinball_loss(quantiles, torch.full((1, 2, 1), math.nan), weights)
    loss.backward()
    assert loss.item() == 0.0
    assert (quantiles.grad == 0).all()


NOISY = replace(TINY, dropout=0.3, ema_decay=0.9, learning_rate=0.1, epochs=3, patience=3)
PAIR = [Member("gru", 3, 3), Member("lstm", 2, 2)]
_AGAIN_S = 2.0  # until the next signal


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As on a terminal; pytest's workers are told to ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("torch_threads", [1], indirect=True)
def test_each_comes_to_the_weights_that_it_comes_to_alone_bit_for_bit(
    training_data: TrainingData, torch_threads: int
) -> None:
    """Where torch has one thread, for alone a network has all of them, and other thread counts may have other sums."""
    each = [train_alone(member, training_data, NOISY) for member in PAIR]
    for _ in range(3):  # whose turn it is changes
        for alone, together in zip(each, train_together(PAIR, training_data, NOISY, lambda _: None), strict=True):
            weights = together.net.state_dict()
            assert together.loss == alone.loss
            assert all(torch.equal(weights[name], value) for name, value in alone.net.state_dict().items())


def test_one_that_stops_early_does_not_stop_the_other(training_data: TrainingData) -> None:
    learnt = replace(
        TINY, input_dropout=0.0, learning_rate=0.05, weight_decay=0.0, steps_per_epoch=12, epochs=4, patience=4
    )
    champion = train_alone(PAIR[0], training_data, learnt).net.state_dict()
    fast, seen = replace(TINY, learning_rate=0.1, epochs=4, patience=1, ensemble_size=4), list[Progress]()
    train_together([Member("gru", 3, 3), Member("gru", 2, 4, beginning=champion)], training_data, fast, seen.append)
    assert [(progress.member, progress.epoch, progress.epochs_done) for progress in seen[:3]] == [
        (3, 1, 8 + 1 + 4),
        (4, 1, 8 + 1 + 4),  # nothing is better than what it began with
        (3, 2, 8 + 2 + 4),
    ]


def test_the_states_of_all_are_kept_before_any_progress_is_told(training_data: TrainingData, tmp_path: Path) -> None:
    pair = [member._replace(state=tmp_path / f"{member.number}.state") for member in PAIR]
    kept = list[list[bool]]()
    train_together(
        pair, training_data, replace(NOISY, epochs=1), lambda _: kept.append([one.state.exists() for one in pair])
    )
    assert kept == [[True, True], [True, True]]


def test_the_speed_is_that_of_all_and_the_time_of_an_epoch_is_divided(training_data: TrainingData) -> None:
    seen = list[Progress]()
    started = time.perf_counter()
    train_together(PAIR, training_data, NOISY, seen.append)
    spent = time.perf_counter() - started
    assert seen[0].windows_per_s == seen[1].windows_per_s
    assert sum(progress.epoch_seconds for progress in seen) < spent


@pytest.mark.parametrize("torch_threads", [2], indirect=True)
def test_members_are_trained_as_many_at_once_as_torch_has_threads(
    training_data: TrainingData, torch_threads: int
) -> None:
    seen = list[Progress]()
    config = replace(NOISY, cell="auto", ensemble_size=3, epochs=2)
    _, ensemble, losses, _ = train_ensemble(training_data, config, seen.append)
    assert [(progress.member, progress.epoch) for progress in seen] == [(1, 1), (2, 1), (1, 2), (2, 2), (3, 1), (3, 2)]
    torch.set_num_threads(1)
    _, one_by_one, same_losses, _ = train_ensemble(training_data, config, lambda _: None)
    assert losses == pytest.approx(same_losses, rel=1e-5)
    for ours, theirs in zip(ensemble.parameters(), one_by_one.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("torch_threads", [2], indirect=True)
def test_stacked_layers_whose_dropout_is_torchs_own_are_trained_one_by_one(
    training_data: TrainingData, torch_threads: int
) -> None:
    seen = list[Progress]()
    train_ensemble(training_data, replace(NOISY, cell="gru", layers=2, ensemble_size=2, epochs=2), seen.append)
    assert [(progress.member, progress.epoch) for progress in seen] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_who_is_interrupted_does_not_wait_and_the_threads_end(
    training_data: TrainingData, interruptible: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch would take hours; whoever is interrupted does not wait for its end, nor does this test."""
    endless, before = replace(NOISY, steps_per_epoch=10**8), threading.active_count()
    begun, heard, main = threading.Event(), threading.Event(), threading.main_thread()

    def begin_epoch(*arguments: object) -> object:
        begun.set()
        return train_epoch(*arguments)

    def interrupt() -> None:
        begun.wait()
        while not heard.wait(
            _AGAIN_S
        ):  # one signal may be lost, where it comes just before the main thread begins to wait
            signal.pthread_kill(main.ident, signal.SIGINT)

    monkeypatch.setattr("daycast.model.training.trainer.train_epoch", begin_epoch)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        train_together(PAIR, training_data, endless, lambda _: None)
    heard.set()
    deadline = time.monotonic() + 300
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before
