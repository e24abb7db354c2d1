"""Networks that train at the same time are those that train one after the other."""

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daycast.model.training.ensemble import train_ensemble
from daycast.model.training.state import TrainingData
from daycast.model.training.trainer import Member, Progress, train_epoch, train_together
from unit.model.training_data import TINY, train_alone

NOISY = replace(TINY, dropout=0.3, ema_decay=0.9, learning_rate=0.1, epochs=3, patience=3)
PAIR = [Member("gru", 1, 1), Member("lstm", 2, 2)]
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
    train_together([Member("gru", 2, 3), Member("gru", 2, 4, beginning=champion)], training_data, fast, seen.append)
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
