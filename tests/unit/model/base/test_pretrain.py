"""Pretraining ends in the same weights whether it was interrupted or not, and tells what cannot be."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from daycast.errors import ConfigError, ModelError, NotEnoughDataError, StorageError
from daycast.model.base import pretrain as module
from daycast.model.base.pretrain import PretrainConfig, pretrain
from daycast.model.checkpoint import load_base, read_metadata
from daycast.variables import BUILT_IN

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 300
SMALL = PretrainConfig(steps=6, batch_size=8, hidden_size=8)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Two stations that measure temperature and wind."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    rng = np.random.default_rng(1)
    hours = pl.datetime_range(START, START.replace(day=20), "1h", eager=True).head(HOURS).dt.cast_time_unit("us")
    rows = pl.concat(
        pl.DataFrame({"observed_at": hours}).with_columns(
            station_id=pl.lit(name),
            known_from=pl.col("observed_at"),
            known_until=pl.lit(None, pl.Datetime("us", "UTC")),
            air_temperature_c=pl.Series(rng.normal(10, 3, HOURS), dtype=pl.Float32),
            wind_speed_m_s=pl.Series(rng.exponential(3, HOURS), dtype=pl.Float32),
        )
        for name in ("a", "b")
    )
    missing = [pl.lit(None, pl.Float32).alias(name) for name in BUILT_IN if name not in rows.columns]
    rows.with_columns(missing).write_parquet(folder / "observations.parquet")
    position = {"latitude": [47.0, 47.1], "longitude": [8.0, 8.1], "elevation_m": [400.0, None]}
    pl.DataFrame({"station_id": ["a", "b"], **position}).write_parquet(folder / "stations.parquet")
    return folder


class KilledError(Exception):
    pass


def test_an_interrupted_training_ends_in_the_same_weights(snapshot: Path, tmp_path: Path, monkeypatch) -> None:
    whole, resumed = tmp_path / "whole.safetensors", tmp_path / "resumed.safetensors"
    pretrain([snapshot], whole, SMALL, "cpu")
    monkeypatch.setattr(module, "_SAVE_EVERY_S", 0.0)
    learn, steps = module._Training.learn, []

    def learn_or_die(training, batch) -> None:
        steps.append(training.step)
        if len(steps) == 4:
            raise KilledError
        learn(training, batch)

    monkeypatch.setattr(module._Training, "learn", learn_or_die)
    with pytest.raises(KilledError):
        pretrain([snapshot], resumed, SMALL, "cpu")
    assert not resumed.exists()
    with pytest.raises(ModelError, match="is of another training: remove it"):
        pretrain([snapshot], resumed, PretrainConfig(steps=7, batch_size=8, hidden_size=8), "cpu")
    pretrain([snapshot], resumed, SMALL, "cpu")
    assert steps == [0, 1, 2, 3, 3, 4, 5]
    assert whole.read_bytes() == resumed.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"snapshot", whole.name, resumed.name}


def test_what_it_writes_says_how_it_was_made_and_loads(snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "base.safetensors"
    pretrain([snapshot], out, SMALL, "cpu", ["b"])
    about = read_metadata(out)
    assert (about["snapshots"], about["left_out"], about["steps"]) == (["snapshot"], ["b"], 6)
    assert load_base(out).head.out_features == 49


def test_what_is_no_snapshot_or_has_nothing_to_learn_from_is_told(snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "base.safetensors"
    with pytest.raises(ModelError, match="is no snapshot: give a folder of data/snapshots"):
        pretrain([tmp_path], out, SMALL, "cpu")
    with pytest.raises(NotEnoughDataError, match="no observation of a station that is not left out"):
        pretrain([snapshot], out, SMALL, "cpu", ["a", "b"])
    with pytest.raises(ConfigError, match="0 steps are none"):
        pretrain([snapshot], out, PretrainConfig(steps=0), "cpu")
    with pytest.raises(StorageError):
        pretrain([snapshot], snapshot / "stations.parquet" / out.name, SMALL, "cpu")
    assert not out.exists()
