"""From a snapshot to a checkpoint: the same bytes every time, interrupted or not, and a record of what they were made from."""

import shutil
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

import daycast
from daycast.errors import ModelError
from daycast.features.channels import Channel
from daycast.model.checkpoint import base_digest, read_header
from daycast.model.config import ModelConfig
from daycast.model.training.state import read_beginnings
from daycast.model.training.trainer import Progress
from daycast.steps.registry import show_model
from daycast.steps.train import find_champion, fit_snapshot, write_snapshot
from daycast.times import HOUR
from daycast.variables import BUILT_IN

pytestmark = pytest.mark.slow


class KilledError(Exception):
    """The moment the plug was pulled."""


def in_the_second_member(progress: Progress) -> None:
    if progress.member == 2:
        raise KilledError


@pytest.fixture(scope="module")
def snapshot(trained_once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Temperature alone, which is fitted in a second."""
    (whole,) = trained_once.settings.snapshots.iterdir()
    folder = tmp_path_factory.mktemp("temperature")
    stations = pl.read_parquet(whole / "stations.parquet").head(2)
    other = [column for name in BUILT_IN if name != "air_temperature_c" for column in (name, f"{name}_truth_weight")]
    versions = pl.read_parquet(whole / "observations.parquet").drop(other, strict=False)
    stations.write_parquet(folder / "stations.parquet")
    versions.join(stations, on="station_id", how="semi").write_parquet(folder / "observations.parquet")
    return folder


@pytest.fixture(scope="module")
def config(trained_once) -> ModelConfig:
    return replace(trained_once.settings.model, ensemble_size=3, targets=(), inputs=())


@pytest.fixture(scope="module")
def whole(snapshot: Path, config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit_snapshot(snapshot, tmp_path_factory.mktemp("whole"), BUILT_IN, config, lambda _: None)


def test_a_fit_that_was_killed_and_began_again_leaves_the_bytes_of_one_that_was_not_and_nothing_else(
    snapshot: Path, config: ModelConfig, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        fit_snapshot(snapshot, tmp_path, BUILT_IN, config, in_the_second_member)
    assert {path.name for path in tmp_path.iterdir()} == {f"{whole.stem}.{n}-gru.resume" for n in (1, 2)}
    seen: list[Progress] = []
    again = fit_snapshot(snapshot, tmp_path, BUILT_IN, config, seen.append)
    assert {progress.member for progress in seen} == {3}
    assert list(tmp_path.iterdir()) == [again]
    assert again.read_bytes() == whole.read_bytes()


def test_a_planned_fit_is_repeated_to_the_byte_by_the_configuration_that_its_checkpoint_holds(
    snapshot: Path, config: ModelConfig, tmp_path: Path
) -> None:
    planned = fit_snapshot(
        snapshot, tmp_path / "one", BUILT_IN, replace(config, epochs=None, steps_per_epoch=1), lambda _: None
    )
    header = read_header(planned)
    assert header.config.epochs is not None
    assert header.manifest["epochs"] == str(header.config.epochs)
    again = fit_snapshot(snapshot, tmp_path / "other", BUILT_IN, header.config, lambda _: None)
    assert again.read_bytes() == planned.read_bytes()
    assert [path.name for path in planned.parent.iterdir()] == [planned.name]  # the plan goes with the states


def test_a_checkpoint_that_was_damaged_is_made_again(
    snapshot: Path, config: ModelConfig, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray(whole.read_bytes())
    content[-2] ^= 1
    (tmp_path / whole.name).write_bytes(content)
    again = fit_snapshot(snapshot, tmp_path, BUILT_IN, config, lambda _: None)
    assert again.name == whole.name
    assert again.read_bytes() == whole.read_bytes()
    assert "it is made again" in caplog.text


def test_two_snapshots_at_once_do_not_share_a_file(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, now, write = trained.settings, trained.at, pl.DataFrame.write_parquet
    expected = [write_snapshot(settings, at) for at in (now, now - 5 * HOUR)]
    contents = [(folder / "observations.parquet").read_bytes() for folder in expected]
    shutil.rmtree(settings.snapshots)
    others: list[Path] = []

    def interrupted(
        frame: pl.DataFrame, file: object
    ) -> None:  # by another snapshot, as soon as the first file is written
        write(frame, file)
        monkeypatch.setattr(pl.DataFrame, "write_parquet", write)
        others.append(write_snapshot(settings, now - 5 * HOUR))

    monkeypatch.setattr(pl.DataFrame, "write_parquet", interrupted)
    made = [write_snapshot(settings, now), *others]
    assert made == expected
    assert [(folder / "observations.parquet").read_bytes() for folder in made] == contents
    assert sorted(settings.snapshots.iterdir()) == sorted(expected)


def test_two_processes_train_one_network_on_windows_of_their_own(
    snapshot: Path, config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "daycast.steps.train.forget_states", lambda _: None
    )  # so that the end of training can be looked at
    together = replace(config, ensemble_size=1, epochs=None, steps_per_epoch=2, processes=2)  # planned by both
    checkpoint = fit_snapshot(snapshot, tmp_path, BUILT_IN, together, lambda _: None)
    first, second = (load_file(tmp_path / f"{checkpoint.stem}.1-gru{rank}.resume") for rank in ("", "-1"))
    weights = [name for name in first if name.startswith(("network.", "average.", "best."))]
    assert all(torch.equal(first[name], second[name]) for name in weights)
    assert not torch.equal(first["generator.cpu"], second["generator.cpu"])
    begun = fit_snapshot(snapshot, tmp_path, BUILT_IN, replace(together, epochs=0, processes=1), lambda _: None)
    assert read_header(checkpoint).validation_loss["gru"] < read_header(begun).validation_loss["gru"]


def test_processes_that_fail_are_a_model_error(
    snapshot: Path, config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = SimpleNamespace(wait=lambda: 3, stderr=["no GPU\n"])
    monkeypatch.setattr("daycast.steps.fit.subprocess.Popen", lambda *_, **__: failed)
    with pytest.raises(ModelError, match="training in 2 processes ended with status 3"):
        fit_snapshot(snapshot, tmp_path, BUILT_IN, replace(config, processes=2), lambda _: None)


def test_a_warm_start_begins_with_what_the_champion_came_to(
    snapshot: Path, config: ModelConfig, whole: Path, tmp_path: Path
) -> None:
    shutil.copy(whole, tmp_path)
    untrained = replace(config, warm_start=True, epochs=0)
    warm, cold = (
        read_header(fit_snapshot(snapshot, tmp_path, BUILT_IN, untrained, lambda _: None, champion))
        for champion in (whole.name, None)
    )
    champion = read_header(whole)
    assert warm.validation_loss == champion.validation_loss
    assert warm.validation_loss["gru"] < cold.validation_loss["gru"]
    assert warm.manifest["warm_start_from"] == whole.stem
    assert "warm_start_from" not in cold.manifest
    assert warm.model_id != cold.model_id


def test_a_champion_with_other_inputs_or_targets_or_none_is_not_begun_with(
    whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    header = read_header(whole)
    assert len(read_beginnings(whole, header)["gru"]) == 3
    assert not caplog.text
    for path, new, reason in [
        (whole, replace(header, channels=(*header.channels, Channel("dew_point_c"))), "it read air_temperature_c"),
        (whole, replace(header, targets=("dew_point_c",)), "it forecast air_temperature_c, and now it is dew_point_c"),
        (whole.with_name("gone.safetensors"), header, "there is no checkpoint"),
    ]:
        assert read_beginnings(path, new) == {}
        assert reason in caplog.text


@pytest.mark.parametrize("until", ["trained_until", "calibrated_until"])
def test_a_champion_that_knows_hours_which_come_later_is_not_begun_with(
    until: str, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    header = read_header(whole)
    known = datetime.fromisoformat(getattr(header, until))
    assert read_beginnings(whole, replace(header, **{until: (known + HOUR).isoformat()}))
    assert read_beginnings(whole, replace(header, **{until: (known - HOUR).isoformat()})) == {}
    assert f"it knows the hours up to {known.isoformat()}" in caplog.text


def test_the_champion_is_found_by_the_name_of_its_checkpoint(trained_once, tmp_path: Path) -> None:
    settings = trained_once.settings
    (checkpoint,) = settings.checkpoints.glob("*.safetensors")
    assert find_champion(settings, trained_once.at) == checkpoint.name
    assert find_champion(settings.model_copy(update={"data": tmp_path}), trained_once.at) is None


def test_a_model_says_what_it_was_made_with(trained_once) -> None:
    settings = trained_once.settings
    (snapshot,) = settings.snapshots.iterdir()
    (checkpoint,) = settings.checkpoints.glob("*.safetensors")
    made_with = show_model(settings, read_header(checkpoint).model_id, trained_once.at)["fit"]["Made with"]
    versions = f"torch {torch.__version__}, numpy {np.__version__}, polars {pl.__version__}"
    assert made_with == (
        f"data {snapshot.name}, base {base_digest()}, networks 1, epochs 1, steps_per_epoch 5, "
        f"seed 1, device cpu, precision float32, threads 1, daycast {daycast.__version__}, {versions}, "
        f"python {'.'.join(map(str, sys.version_info[:3]))}"
    )
