"""A small simulated network in a real warehouse, with a champion; made once, copied for each test that alters it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.files import atomic_write
from daycast.model.checkpoint import read_header
from daycast.settings import Settings
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.ingest import ingest_source
from daycast.steps.train import fit_snapshot, register, write_snapshot
from daycast.variables import BUILT_IN
from daycast.warehouse import warehouse
from daycast.warehouse.models import promote_model
from daycast.warehouse.warehouse import Warehouse
from integration.made_once import made_once

TRAINED_AT = datetime(2026, 2, 5, 10, 5, tzinfo=UTC)
MODEL = {
    "cell": "gru",
    "ensemble_size": 1,
    "hidden_size": 16,
    "epochs": 1,
    "steps_per_epoch": 5,
    "batch_size": 32,
    "validation_days": 10,
    "holdout_days": 10,
    "least_training_days": 30,
    "targets": ["air_temperature_c", "precipitation_mm"],
    "inputs": ["relative_humidity_pct"],  # the more, the longer a fit takes
    "device": "cpu",
}


@pytest.fixture(scope="session", autouse=True)
def migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every new warehouse of this process begins as a copy of one that was migrated: migrating takes longer than most tests."""
    migrated = tmp_path_factory.mktemp("migrated") / "warehouse.duckdb"
    with Warehouse(migrated, BUILT_IN.values()).write(datetime(2026, 1, 1, tzinfo=UTC)):
        pass

    def create(path: Path) -> None:
        with atomic_write(path, exclusive=True) as draft:
            shutil.copyfile(migrated, draft)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warehouse, "_create", create)
        yield


@dataclass(frozen=True)
class Trained:
    """A warehouse that was filled, and a champion that was made, at the moment `at`."""

    settings: Settings
    at: datetime


def small_settings(folder: Path) -> Settings:
    """Four simulated stations with 120 days of history, and a model that is fitted in a second."""
    source = {"kind": "simulated", "stations": 4, "history": "120d"}
    return Settings.model_validate({"sources": [source], "model": MODEL}, context={"folder": folder})


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Read only: use `trained` to write."""
    return Trained(small_settings(made_once(tmp_path_factory, "trained_once", train)), TRAINED_AT)


def train(folder: Path) -> None:
    """Fill a warehouse, fit a network, and make it champion."""
    settings = small_settings(folder)
    ingest_source(settings, settings.sources[0], TRAINED_AT)
    snapshot = write_snapshot(settings, TRAINED_AT)
    checkpoint = fit_snapshot(snapshot, settings.checkpoints, settings.glossary, settings.model, lambda _: None)
    register(settings, checkpoint, *evaluate_holdout(settings, checkpoint, TRAINED_AT), TRAINED_AT)
    with settings.warehouse.write(TRAINED_AT) as con:
        promote_model(con, read_header(checkpoint).model_id, TRAINED_AT)  # whoever won, the network is what is tested


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Settings, str], Settings]:
    """Copy all state of some settings into a folder of this name, and return the settings of the copy."""

    def copy(settings: Settings, name: str) -> Settings:
        shutil.copytree(settings.data, tmp_path / name / "data")
        return small_settings(tmp_path / name)

    return copy


@pytest.fixture
def trained(trained_once: Trained, copy_of: Callable[[Settings, str], Settings]) -> Trained:
    return Trained(copy_of(trained_once.settings, "own"), trained_once.at)
