"""A killed training resumes as if it had never stopped, unusable states are ignored, and a warm start takes old weights."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from daycast.model.config import ModelConfig
from daycast.model.training.ensemble import train_ensemble
from daycast.model.training.parallel import Ranks
from daycast.model.training.state import TrainContext, TrainingData, forget_states, next_beginning
from daycast.model.training.trainer import Member, Progress, Trained
from unit.model.training_data import TINY, train_alone

LONG = replace(TINY, dropout=0.3, ema_decay=0.9, learning_rate=0.1, steps_per_epoch=2, epochs=4, patience=4)


class KilledError(Exception):
    """The moment the plug was pulled."""


def killed_in(epoch: int, member: int = 1) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if (progress.epoch, progress.member) == (epoch, member):
            raise KilledError

    return on_progress


def train(
    training_data: TrainingData,
    state: Path | None,
    on_progress: Callable = lambda _: None,
    config: ModelConfig = LONG,
    cell: str = "gru",
) -> Trained:
    return train_alone(Member(cell, 3, state=state), training_data, config, on_progress)


def same(one: Trained, other: Trained) -> bool:
    a, b = one.net.state_dict(), other.net.state_dict()
    return one.loss == other.loss and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("cell", "epoch", "decoder"), [("gru", 2, "direct"), ("lstm", 4, "direct"), ("lstm", 2, "autoregressive")]
)
def test_a_training_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    cell: str, epoch: int, decoder: str, training_data: TrainingData, tmp_path: Path
) -> None:
    config, seen = replace(LONG, decoder=decoder), list[Progress]()
    whole = train(training_data, None, config=config, cell=cell)
    with pytest.raises(KilledError):
        train(training_data, tmp_path / "a.resume", killed_in(epoch), config, cell)
    torch.rand(7)  # another process would not find the generator where this one left it
    resumed = train(training_data, tmp_path / "a.resume", seen.append, config, cell)
    assert [progress.epoch for progress in seen] == list(range(epoch + 1, 5))
    assert same(resumed, whole)
    assert resumed.seconds > sum(progress.epoch_seconds for progress in seen)


def test_patience_is_counted_over_the_interruption(training_data: TrainingData, tmp_path: Path) -> None:
    seen: list[Progress] = []
    stuck = replace(LONG, learning_rate=0.0, weight_decay=0.0, epochs=9, patience=3)
    with pytest.raises(KilledError):
        train(training_data, tmp_path / "a.resume", killed_in(2), stuck)
    train(training_data, tmp_path / "a.resume", seen.append, stuck)
    assert [progress.epoch for progress in seen] == [3]


def test_an_ensemble_goes_on_with_the_member_it_was_killed_in(training_data: TrainingData, tmp_path: Path) -> None:
    config, seen = replace(LONG, cell="auto", ensemble_size=3), list[Progress]()
    context = TrainContext(keep=tmp_path / "hash")
    _, whole, losses, _ = train_ensemble(training_data, config, lambda _: None)
    with pytest.raises(KilledError):
        train_ensemble(training_data, config, killed_in(3, member=2), context)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hash.1-gru.resume", "hash.2-lstm.resume"]
    _, resumed, resumed_losses, _ = train_ensemble(training_data, config, seen.append, context)
    assert [(progress.member, progress.epoch) for progress in seen] == [(2, 4), *((3, epoch) for epoch in range(1, 5))]
    assert resumed_losses == losses
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def words(path: Path) -> None:
    path.write_text("this is no state, it is a letter to whoever reads it")


def foreign(path: Path) -> None:
    save_file(load_file(path), path)


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_short, words, foreign, one_bit])
def test_a_file_that_is_no_state_is_left_alone_with_a_word(
    damage: Callable, training_data: TrainingData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.resume"
    with pytest.raises(KilledError):
        train(training_data, path, killed_in(2))
    damage(path)
    assert same(train(training_data, path), train(training_data, None))
    assert "a.resume is no state to go on from" in caplog.text
    assert "training starts afresh" in caplog.text


@pytest.mark.parametrize("other", [{"learning_rate": 0.2}, {"hidden_size": 13}])
def test_a_state_of_another_training_is_ignored(other: dict, training_data: TrainingData, tmp_path: Path) -> None:
    path, config = tmp_path / "a.resume", replace(LONG, **other)
    with pytest.raises(KilledError):
        train(training_data, path, killed_in(2))
    assert same(train(training_data, path, config=config), train(training_data, None, config=config))


def test_processes_that_were_killed_at_different_epochs_all_start_afresh(
    training_data: TrainingData, tmp_path: Path
) -> None:
    class Torn(Ranks):
        def gather(self, number: float) -> list[float]:
            return [number, number + 1]

    whole, seen, path = train(training_data, None), list[Progress](), tmp_path / "a.resume"
    for on_progress in (killed_in(2), seen.append):
        with suppress(KilledError):
            again = train_alone(Member("gru", 3, state=path), training_data, LONG, on_progress, Torn())
    assert [progress.epoch for progress in seen] == [1, 2, 3, 4]
    assert same(again, whole)


def test_only_the_states_of_the_checkpoint_that_is_whole_are_removed(tmp_path: Path) -> None:
    mine, others = ["ab.1-gru.resume", "ab.2-lstm.resume.tmp"], ["ab.safetensors", "abc.1-gru.resume"]
    for name in mine + others:
        (tmp_path / name).touch()
    forget_states(tmp_path / "ab")
    assert sorted(path.name for path in tmp_path.iterdir()) == others


def test_before_its_first_epoch_a_network_is_as_good_as_the_one_it_begins_with(training_data: TrainingData) -> None:
    champion = train_alone(Member("gru", 1), training_data, replace(TINY, learning_rate=0.05, epochs=3, patience=3))
    cold = train_alone(Member("gru", 2), training_data, replace(TINY, epochs=0))
    warm = train_alone(Member("gru", 2, beginning=champion.net.state_dict()), training_data, replace(TINY, epochs=0))
    assert warm.loss == champion.loss
    assert warm.loss < cold.loss


@pytest.mark.parametrize("other", [{"hidden_size": 13}, {"layers": 2}])
def test_a_network_of_another_shape_starts_from_scratch_and_logs_why(
    other: dict, training_data: TrainingData, caplog: pytest.LogCaptureFixture
) -> None:
    weights = train_alone(Member("gru", 1), training_data, TINY).net.state_dict()
    config = replace(TINY, epochs=0, **other)
    cold = train_alone(Member("gru", 2), training_data, config)
    warm = train_alone(Member("gru", 2, beginning=weights), training_data, config)
    assert all(torch.equal(a, b) for a, b in zip(cold.net.parameters(), warm.net.parameters(), strict=True))
    assert "cannot begin with the champion's networks" in caplog.text


def test_networks_take_turns_with_the_champions_of_their_cell(caplog: pytest.LogCaptureFixture) -> None:
    first, second = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    assert [next_beginning({"gru": [first, second]}, "gru", n) for n in range(3)] == [first, second, first]
    assert next_beginning({}, "gru", 0) is None
    assert not caplog.text
    assert next_beginning({"gru": [first]}, "lstm", 0) is None
    assert "it is gru, and now it is lstm" in caplog.text
